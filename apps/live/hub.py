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

EVERY_S = 0.1  # between two frames, at least
SHARE = 9  # times as long as drawing took it rests, so that drawing takes a tenth of a processor
REST_S = 0.4  # but it rests no longer than this
PARTS_S = 2.0  # between two drawings of the parts, which cost more than rows
HEARTBEAT_S = 2.0  # a frame is sent so often even when nothing happens
RETRY_S = 2.0  # after a drawing that failed
PATIENCE_S = 60.0  # for an answer; a page that draws nothing for so long connects again
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


class Text(NamedTuple):
    """A frame as it is written to all who need the same; `serves` says it has all their rows."""

    text: str
    data: bytes
    serves: bool


class Seat:
    """Somebody in a room: what they have, and what they want to see.

    push    writes a frame now, or returns False while the client has not taken those before
    window  frames they may leave unanswered; 0 is no limit
    """

    def __init__(
        self, room: Room, *, after: int, query: str | None, view: str,
        push: Callable[[bytes], bool] | None = None, window: int = 0,
    ) -> None:  # fmt: skip
        self.room, self.after, self.query, self.view = room, after, query, view
        self.number = 0  # of the frame they have
        self.drawn = 0  # of the parts they have
        self._push, self._window = push, window
        self._sent = self._answered = 0
        self._full_since: float | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def next(self) -> str:
        """Return the newest frame they have not, as soon as there is one that was not pushed.

        raises  TimeoutError when the client has answered nothing for PATIENCE_S
        """
        while self.room.number <= self.number or self.full:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._sent += 1
        return self.room.text_for(self)

    @property
    def full(self) -> bool:
        """Return whether they have to answer before they are sent more."""
        return bool(self._window) and self._sent - self._answered >= self._window

    def answer(self, text: str) -> None:
        """Take an answer of the page: how many frames it has drawn."""
        if text.isdecimal() and len(text) < 16:
            self._answered = max(self._answered, min(int(text), self._sent))
        if not self.full:
            self._full_since = None
            if self.room.number > self.number:
                self.turn()

    def turn(self) -> None:
        """Give them the newest frame now if that can be; else see to it that `next` does."""
        if self._window and self._sent - self._answered >= self._window:
            self._be_patient()
            return
        if self._push is not None:
            frame = self.room.frame(self)
            if self._push(frame.data):
                self._sent += 1
                self.room.has(self, frame)
                return
        self._wake()

    def _be_patient(self) -> None:
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since > PATIENCE_S:
            self._wake(TimeoutError())

    def _wake(self, error: Exception | None = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():  # busy with a frame, or gone
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


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
        self._texts: dict[Any, Text] = {}
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None
        self._new = asyncio.Event()
        self._painted = 0.0

    @contextlib.contextmanager
    def seat(
        self, *, after: int, query: str | None = None, view: str = "",
        push: Callable[[bytes], bool] | None = None, window: int = 0,
    ) -> Any:  # fmt: skip
        """Take a seat until the end of the block.

        after  the newest position they have
        query  what their tail shows; None for no tail
        view   how the parts are drawn for them, "" for no parts
        push, window  as of `Seat`
        """
        taken = Seat(self, after=after, query=query, view=view, push=push, window=window)
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

    async def _run(self) -> None:
        while self.seats:
            self._new.clear()
            began = time.monotonic()
            try:
                await self._draw()
                took = time.monotonic() - began
                pause = max(EVERY_S - took, min(SHARE * took, REST_S))
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
            self._parts = {n: part for n, part in self._parts.items() if n in drawn.parts}
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
        for seat in list(self.seats):
            seat.turn()

    def text_for(self, seat: Seat) -> str:
        """Return the frame for a seat, which then has it."""
        frame = self.frame(seat)
        self.has(seat, frame)
        return frame.text

    def frame(self, seat: Seat) -> Text:
        """Return the newest frame for a seat. Those with the same needs share one."""
        key = seat.after, seat.query, seat.view, seat.drawn
        made = self._texts.get(key)
        if made is None:
            text = self._text(seat)
            made = self._texts[key] = Text(text, text.encode(), self._serves(seat))
        return made

    def has(self, seat: Seat, frame: Text) -> None:
        """Note that a seat has its newest frame."""
        seat.number = seat.drawn = self.number
        if frame.serves and seat.after < self._head:
            seat.after = self._head

    def _serves(self, seat: Seat) -> bool:
        """Return whether the rows at hand are all a seat needs; else the next frame has them."""
        if seat.query is None:
            return True
        rows = self._rows.get(seat.query, ())
        covered = seat.after >= self._begun.get(seat.query, seat.after + 1) or len(rows) == KEPT
        return covered and not self._trouble

    def _is_of(self, name: str, view: str) -> bool:
        """Return whether a part is what a view shows: its own, or else that of all."""
        part, _, of = name.partition(":")
        return of == view or (not of and f"{part}:{view}" not in self._parts)

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
                if number > seat.drawn and self._is_of(name, seat.view)
            }
        return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
