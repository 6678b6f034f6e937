"""How far timelines are known to reach in this process, and the way news come from others."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Iterable

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.access.queries.visitors import in_thread
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.queries import log
from apps.live.news import News

logger = logging.getLogger(__name__)

PACE_S = 0.05  # between two messages about what grew
QUIET_S = 5.0  # without news, after which Redis is asked whether it is there
RETRY_S = 1.0


async def _heads(timelines: Iterable[int]) -> dict[int, int]:
    try:
        return await in_thread(log.heads, timelines)
    except LogUnavailable:
        return {}


news = News(_heads)


class Relay:
    """Tells other processes what grew here and hears from them, over Redis.

    On a thread of its own, so that no append ever waits for Redis. Messages are hints: without
    them the slow poll finds what is new. `trouble` says so while Redis is away.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self._grown: dict[int, int] = {}
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, timeline: int, head: int) -> None:
        """Pass on that a timeline grew. May come from any thread; costs next to nothing."""
        if not settings.REDIS_URL:
            return
        self._grown[timeline] = head
        self.start()
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None and not loop.is_closed():
            loop.call_soon_threadsafe(wake.set)

    def start(self) -> None:
        """Begin to hear from others, where there are others. May be called often."""
        if not settings.REDIS_URL or self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live relay", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._relay())

    async def _relay(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._wake.set()
        await asyncio.gather(self._say(), self._hear())

    async def _say(self) -> None:
        assert self._wake is not None
        client = _client()
        while True:
            await self._wake.wait()
            self._wake.clear()
            grown, self._grown = self._grown, {}
            try:
                for timeline, head in grown.items():
                    await client.publish(_channel(), f"{timeline} {head}")
            except (RedisError, OSError):
                pass  # a hint that is lost; `_hear` says that Redis is away
            await asyncio.sleep(PACE_S)

    async def _hear(self) -> None:
        while True:
            client = _client()
            try:
                await self._listen(client)
            except (RedisError, OSError) as error:
                if not self.trouble:
                    logger.warning("Redis does not answer, live goes on by polling: %s", error)
                self.trouble = "Redis does not answer"
            await client.aclose()
            await asyncio.sleep(RETRY_S)

    async def _listen(self, client: Redis) -> None:
        pubsub = client.pubsub()
        await pubsub.subscribe(_channel())
        if self.trouble:
            logger.warning("Redis answers again.")
        self.trouble = ""
        quiet = 0
        while quiet < 2:
            message = await pubsub.get_message(timeout=QUIET_S)
            quiet = 0 if message is not None else quiet + 1
            if message is None:
                await pubsub.ping()  # a line that is dead says nothing by itself
            elif message["type"] == "message":
                timeline, _, head = message["data"].decode().partition(" ")
                news.tell(int(timeline), int(head))
        raise RedisError("it does not answer a ping")


def _client() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=10)


def _channel() -> str:
    """Return the channel of those who share sessions, and so a log, with this process."""
    digest = hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()
    return f"evdebug:live:{digest[:16]}"


relay = Relay()
