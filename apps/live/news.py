"""How far timelines are known to reach, and who waits for them to grow.

News are hints: they may be late, lost or repeated. Whoever is woken reads the log.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable

Heads = Callable[[Iterable[int]], Awaitable[dict[int, int]]]


class News:
    """The heads of timelines, for the sockets of one event loop. `tell` may come from any thread.

    heads    asks the log for the heads of timelines: the slow poll that finds what nobody told
    every    seconds between two polls, while anybody waits
    """

    def __init__(self, heads: Heads, *, every: float = 1.0) -> None:
        self._ask, self.every = heads, every
        self._heads: dict[int, int] = {}
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self._told: set[int] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polling: asyncio.Task[None] | None = None

    def tell(self, timeline: int, head: int) -> None:
        """Note that a timeline reaches `head`, and wake those who wait for more of it."""
        with self._lock:
            if head <= self._heads.get(timeline, 0):
                return
            self._heads[timeline] = head
            loop, first = self._loop, not self._told
            if timeline not in self._waiting or loop is None or loop.is_closed():
                return
            self._told.add(timeline)
        if first:  # one call to the loop, however often it grew meanwhile
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            told, self._told = self._told, set()
        for timeline in told:
            for waiter in self._waiting.pop(timeline, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def beyond(self, timeline: int, position: int) -> None:
        """Return once a timeline is known to reach beyond a position."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        while True:
            with self._lock:
                self._loop = loop
                if self._heads.get(timeline, 0) > position:
                    return
                waiter = loop.create_future()
                self._waiting.setdefault(timeline, set()).add(waiter)
            self._keep_polling(loop)
            try:
                await waiter
            finally:
                self._waiting.get(timeline, set()).discard(waiter)

    def _keep_polling(self, loop: asyncio.AbstractEventLoop) -> None:
        task = self._polling
        if task is None or task.done() or task.get_loop() is not loop:
            self._polling = loop.create_task(self._poll())

    async def _poll(self) -> None:
        while any(self._waiting.values()):
            await asyncio.sleep(self.every)
            for timeline, head in (await self._ask(list(self._waiting))).items():
                self.tell(timeline, head)
