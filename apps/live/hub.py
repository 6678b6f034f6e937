"""One drawing for all who look at a timeline, at most a few times a second, newest first.

A room draws while somebody is in it, and each of its seats takes the newest frame when it is ready
for one: who is slow misses frames, never rows, and costs nothing but its seat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from apps.eventlog.errors import LogUnavailable

logger = logging.getLogger(__name__)

EVERY_S = 0.2  # between two frames, at least
PARTS_S = 2.0  # between two drawings of the parts, which cost more than rows
HEARTBEAT_S = 2.0  # a frame is sent so often even when nothing happens
RETRY_S = 2.0  # after a drawing that failed
KEPT = 200  # rows: what a page holds, so that older ones would only be taken out again


class Row(NamedTuple):
    """One row of the tail, drawn."""

    position: int
    html: str


class Drawn(NamedTuple):
    """What a drawing gave. `rows` are new ones, newest last; `found` how many matched at least."""

    head: int
    time: float | None  # of the head, ms
    parts: dict[str, str]
    rows: dict[str, list[Row]]  # by query


class Painter(Protocol):
    """Draws what is new. Called from one task at a time."""

    async def __call__(self, after: dict[str, int], views: frozenset[str], *, parts: bool) -> Drawn:
        """Return the rows after a position for each query, and the parts for each view if asked."""


class Seat:
    """Somebody in a room: what they have, and what they want to see."""

    def __init__(self, room: Room, *, after: int, query: str | None, view: str) -> None:
        self.room, self.after, self.query, self.view = room, after, query, view
        self.number = 0  # of the frame they have
        self.drawn = 0  # of the parts they have

    async def next(self) -> str:
        """Return the newest frame, as soon as there is one they have not."""
        while self.room.number <= self.number:
            await self.room.turned()
        return self.room.text_for(self)


class Room:
    """All who look at one timeline in this process.

    paint   draws
    wait    returns when the timeline is known to be longer than a position
    status  says what is wrong with the way to others, "" for nothing
    """

    def __init__(
        self, paint: Painter, wait: Callable[[int], Awaitable[None]], status: Callable[[], str]
    ) -> None:
        self._paint, self._wait, self._status = paint, wait, status
        self.seats: set[Seat] = set()
        self.number = 0
        self._head, self._time = 0, None
        self._parts: dict[str, tuple[int, str]] = {}
        self._rows: dict[str, deque[Row]] = {}
        self._begun: dict[str, int] = {}  # query -> after which position its rows are held
        self._texts: dict[Any, str] = {}
        self._trouble = ""
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._new = asyncio.Event()
        self._painted = 0.0

    @contextlib.contextmanager
    def seat(self, *, after: int, query: str | None = None, view: str = "") -> Any:
        """Take a seat until the end of the block.

        after  the newest position they have
        query  what their tail shows; None for no tail
        view   how the parts are drawn for them, "" for no parts
        """
        taken = Seat(self, after=after, query=query, view=view)
        self.seats.add(taken)
        self._new.set()
        if self._task is None or self._task.done():
            taken.number = self.number  # what was drawn before is of another time
            self._parts, self._rows, self._begun, self._painted = {}, {}, {}, 0.0
            self._task = asyncio.ensure_future(self._run())
        try:
            yield taken
        finally:
            self.seats.discard(taken)

    async def turned(self) -> None:
        """Return once there is another frame."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def _run(self) -> None:
        while self.seats:
            self._new.clear()
            try:
                await self._draw()
                pause = EVERY_S
            except LogUnavailable as error:
                self._trouble, pause = str(error), RETRY_S
            except Exception:  # whatever it is, those in the room are told, and it is tried again
                logger.exception("A live page could not be drawn")
                self._trouble, pause = "The page cannot be drawn now; trying again.", RETRY_S
            self._publish()
            await asyncio.sleep(pause)
            await self._until_news()

    async def _until_news(self) -> None:
        """Wait for more events, somebody new, or the next heartbeat."""
        waits = [
            asyncio.ensure_future(self._wait(self._head)),
            asyncio.ensure_future(self._new.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _draw(self) -> None:
        wanted = {seat.query for seat in self.seats if seat.query is not None}
        self._rows = {query: self._rows.get(query, deque(maxlen=KEPT)) for query in wanted}
        after = {query: self._after(query) for query in wanted}
        views = frozenset(seat.view for seat in self.seats if seat.view)
        fresh = any(f"flow:{view}" not in self._parts for view in views)
        due = bool(views) and (fresh or time.monotonic() - self._painted >= PARTS_S)
        drawn = await self._paint(after, views, parts=due)
        self._head, self._time, self._trouble = drawn.head, drawn.time, ""  # type: ignore[assignment]
        for query, rows in drawn.rows.items():
            self._rows[query].extend(rows)
        if due:
            self._painted = time.monotonic()
            for name, html in drawn.parts.items():
                if self._parts.get(name, (0, ""))[1] != html:
                    self._parts[name] = self.number + 1, html

    def _after(self, query: str) -> int:
        """Return from where rows are to be read: where the last ones ended, or where a seat is."""
        least = min(seat.after for seat in self.seats if seat.query == query)
        if query not in self._begun or least < self._begun[query]:
            self._rows[query].clear()
            self._begun[query] = least
            return least
        return max(self._head, least)

    def _publish(self) -> None:
        self.number += 1
        self._texts.clear()
        self._begun = {query: at for query, at in self._begun.items() if query in self._rows}
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # or whoever waited has gone
                waiter.set_result(None)

    def text_for(self, seat: Seat) -> str:
        """Return the frame for a seat, which then has it. Those with the same needs share one."""
        key = seat.after, seat.query, seat.view, seat.drawn
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = self._text(seat)
        seat.number = seat.drawn = self.number
        if self._serves(seat):
            seat.after = max(seat.after, self._head)
        return text

    def _serves(self, seat: Seat) -> bool:
        """Return whether the rows at hand are all a seat needs; else the next frame has them."""
        if seat.query is None:
            return True
        rows = self._rows.get(seat.query, ())
        covered = seat.after >= self._begun.get(seat.query, seat.after + 1) or len(rows) == KEPT
        return covered and not self._trouble

    def _text(self, seat: Seat) -> str:
        frame: dict[str, Any] = {
            "head": self._head, "time": self._time, "after": seat.after,
            "degraded": self._status(), "trouble": self._trouble,
        }  # fmt: skip
        if seat.query is not None and self._serves(seat):
            new = [row for row in self._rows.get(seat.query, ()) if row.position > seat.after]
            frame["rows"] = "".join(row.html for row in reversed(new))
            frame["count"] = len(new)
        if seat.view:
            frame["parts"] = {
                name.partition(":")[0]: html
                for name, (number, html) in self._parts.items()
                if number > seat.drawn and name.partition(":")[2] in ("", seat.view)
            }
        return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
