"""The sockets of live: what a program or page receives as the log grows."""

from __future__ import annotations

from functools import partial

import msgspec

from apps.access.queries.sockets import Closed, Socket
from apps.access.queries.visitors import in_thread
from apps.eventlog.envelope import Recorded, jsonable
from apps.eventlog.places import Line
from apps.eventlog.queries import log, search
from apps.live.queries.watching import news, relay

PAGE = 200  # events read at once
PAGE_BYTES = 2 * 1024 * 1024
FRAME_BYTES = 512 * 1024  # of a frame with more than one event; clients often refuse over 1 MiB

encode = msgspec.json.encode


async def events(socket: Socket) -> None:
    """Send every event after a position that a query asks for: in order, none missed, none twice.

    What to send is read from the log, from where the last frame ended; news only say when to look.
    A frame is sent when the client has taken the one before, so it comes at the client's pace.
    """
    line, query = socket.line, socket.parameter("query")
    after = _position(socket.parameter("after", "0"))
    relay.start()
    await in_thread(search.follower, line, query)  # what is wrong with a query is said at once
    while True:
        frames, after = await in_thread(_next, line, query, after)
        for frame in frames:
            await socket.send(frame)
        if not frames:
            await news.beyond(line.timeline, after)


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Closed(4422, "after is not a position; send a whole number, 0 for everything")
    return int(text)


def _next(line: Line, query: str, after: int) -> tuple[list[str], int]:
    """Return the frames of the next page after a position, and where to go on."""
    line = log.line(line.slug, timeline=line.timeline)
    read = partial(search.search, line, query, limit=PAGE, ascending=True, most=PAGE_BYTES)
    while after < line.head:
        page = read(after=after)
        after = line.head if page.next is None else page.next
        if page.events:
            return _frames(page.events, line.head), after
    return [], after


def _frames(events: list[Recorded], head: int) -> list[str]:
    """Return events as frames of a moderate size each, unless one event is larger."""
    frames: list[str] = []
    held: list[bytes] = []
    size = 0
    for event in events:
        text = encode(jsonable(event))
        if held and size + len(text) > FRAME_BYTES:
            frames.append(_frame(held, head))
            held, size = [], 0
        held.append(text)
        size += len(text)
    return [*frames, _frame(held, head)] if held else frames


def _frame(events: list[bytes], head: int) -> str:
    return (b'{"events":[' + b",".join(events) + b'],"head":%d}' % head).decode()
