"""How far timelines are known to reach in this process, and the way news come from others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable

from channels.layers import get_channel_layer
from django.conf import settings

from apps.access.queries.visitors import in_thread
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.queries import log
from apps.live.news import News

logger = logging.getLogger(__name__)

GROUP = "live"
PACE_S = 0.05  # between two messages about what grew
AGAIN_S = 10.0  # membership of a group is lost when Redis restarts, silently
RETRY_S = 1.0


async def _heads(timelines: Iterable[int]) -> dict[int, int]:
    try:
        return await in_thread(log.heads, timelines)
    except LogUnavailable:
        return {}


news = News(_heads)


class Relay:
    """Tells other processes what grew here and hears from them, by the channel layer on Redis.

    On a thread of its own, so that no append ever waits for Redis. Messages are hints: without
    them the slow poll finds what is new. `trouble` says so while the way is broken.
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
        await asyncio.gather(self._lasting(self._say), self._lasting(self._hear))

    async def _lasting(self, work) -> None:  # type: ignore[no-untyped-def]
        """Do something over and over, whatever Redis does."""
        while True:
            try:
                await work(get_channel_layer())
            except Exception as error:  # of many kinds, by how Redis is gone
                if not self.trouble:
                    logger.warning("Redis does not answer, live goes on by polling: %s", error)
                self.trouble = "Redis does not answer"
                await asyncio.sleep(RETRY_S)
            else:
                if self.trouble:
                    logger.warning("Redis answers again.")
                self.trouble = ""

    async def _say(self, layer) -> None:  # type: ignore[no-untyped-def]
        assert self._wake is not None
        await self._wake.wait()
        self._wake.clear()
        grown, self._grown = self._grown, {}
        for timeline, head in grown.items():
            message = {"type": "live.grown", "timeline": timeline, "head": head}
            await layer.group_send(GROUP, message)
        await asyncio.sleep(PACE_S)

    async def _hear(self, layer) -> None:  # type: ignore[no-untyped-def]
        channel = await layer.new_channel("live")
        await layer.group_add(GROUP, channel)
        loop = asyncio.get_running_loop()
        until = loop.time() + AGAIN_S
        while (left := until - loop.time()) > 0:
            try:
                message = await asyncio.wait_for(layer.receive(channel), left)
            except TimeoutError:
                break
            self.trouble = ""
            news.tell(message["timeline"], message["head"])
        await layer.group_discard(GROUP, channel)


relay = Relay()
