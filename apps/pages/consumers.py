"""The socket of the pages: how far the log is, and on the Live page what it looks like."""

from __future__ import annotations

from functools import partial

from apps.access.queries.sockets import Closed, Socket
from apps.access.queries.visitors import in_thread
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.live.counters import SECOND, Counters
from apps.live.hub import Drawn, Room
from apps.live.queries.counting import caught_up
from apps.live.queries.watching import news, relay
from apps.pages.queries import live as drawing
from apps.pages.queries.tail import tail, tails

WINDOW = 32  # frames a page may leave unanswered; it answers each sixteenth

rooms: dict[int, Room] = {}


async def live(socket: Socket) -> None:
    """Send frames as they are drawn, the newest whenever the page is ready for one.

    The address says what for: `after`, the newest position the page has; `tail`, the query of its
    tail, where it has one; `view`, how it looks at the flow. The page answers every few frames with
    how many it has drawn, so that a page that cannot follow is not sent more.
    """
    line, after = socket.line, socket.parameter("after", "0")
    query = socket.query.get("tail", [None])[0]
    wanted = socket.parameter("view")
    look = drawing.look(wanted)
    view = str(look or "")
    if not (after.isascii() and after.isdigit() and len(after) < 16):
        raise Closed(4422, "after is not a position")
    if look is None and wanted:
        raise Closed(4422, "there is no such view")
    if query is not None:
        await in_thread(tail, line, query[:2000], after=line.head)  # wrong: said at once
    relay.start()
    room = room_of(line)
    push = socket.push
    with room.seat(after=int(after), query=query, view=view, push=push, window=WINDOW) as seat:
        socket.told = seat.answer
        while True:  # what cannot be pushed, as the client is behind
            try:
                text = await seat.next()
            except TimeoutError:
                raise Closed(4408, "the page does not answer") from None
            await socket.send(text)


def room_of(line: Line) -> Room:
    """Return the room of a timeline; those nobody is in are forgotten."""
    for timeline in [t for t, room in rooms.items() if not room.seats]:
        del rooms[timeline]
    if line.timeline not in rooms:
        painter = Painter(line)
        wait = partial(news.beyond, line.timeline)
        rooms[line.timeline] = Room(painter, wait, lambda: relay.trouble)
    return rooms[line.timeline]


class Painter:
    """Draws one timeline at its live edge."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._counters: Counters | None = None

    async def __call__(self, after: dict[str, int], views: frozenset[str], *, parts: bool) -> Drawn:
        """Return what is new. One call at a time."""
        return await in_thread(self._paint, after, views, parts=parts)

    def _paint(self, after: dict[str, int], views: frozenset[str], *, parts: bool) -> Drawn:
        line = log.line(self._line.slug, timeline=self._line.timeline)
        time = None if line.log_time is None else line.log_time / 1000
        rows = tails(line, after)
        drawn: dict[str, str] = {}
        if views:
            self._counters = caught_up(self._counters, line)
        if parts and self._counters is not None:
            looks = [look for look in map(drawing.look, views) if look]
            drawn = drawing.parts(line, self._counters, now=edge(line), looks=looks)
        return Drawn(line.head, time, drawn, rows)


def edge(line: Line) -> int | None:
    """Return what is now for a line: the wall clock, or its last event where that is long ago.

    A log that is imported, or has ended, shows its last minute rather than nothing.
    """
    import time

    now = time.time_ns() // 1000
    if line.log_time is None or now - line.log_time > 900 * SECOND:
        return line.log_time
    return max(now, line.log_time)
