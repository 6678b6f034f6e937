"""What a fold reads: the events of streams in slim form, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from apps.eventlog import store
from apps.eventlog.envelope import Recorded
from apps.eventlog.places import MASK, Line, Segment, position
from apps.eventlog.queries.lanes import Strings, lanes_of
from apps.eventlog.queries.log import load

PAGE_BYTES = 4 * 1024 * 1024  # data aimed at in one page
PAGE_ROWS = 4000
FIRST_ROWS = 256  # on the first page, which often is the only one
STREAMS = 500  # streams asked for at once


class Fact(NamedTuple):
    """One event of a stream: what happened, and the bytes that say it."""

    position: int
    stream: int  # its number
    lane: int  # see `lanes`
    log_time: int
    data: bytes | None  # None once forgotten


def number(line: Line, stream: str) -> int | None:
    """Return the number of a stream, None where the system has none of that name."""
    return store.names_to_ids("stream", line.system, [stream]).get(stream)


def numbers(line: Line, streams: Iterable[str]) -> dict[str, int]:
    """Return the numbers of those streams the system has."""
    return store.names_to_ids("stream", line.system, streams)


def names(ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return (name, category) of streams by number."""
    found: dict[int, tuple[str, str]] = {}
    for clause, values in store.among(sorted(set(ids))):
        sql = f"SELECT id, name, category FROM eventlog_stream WHERE id {clause}"
        found |= {n: (name, category) for n, name, category in store.fetch(sql, values)}
    return found


def lanes(line: Line, ids: Iterable[int]) -> dict[int, Strings]:
    """Return what lanes stand for."""
    return lanes_of(line.system, ids)


def _forced() -> str:
    return " INDEXED BY eventlog_event_stream" if store.sqlite() else ""


def of_streams(
    line: Line, streams: Sequence[int], *, after: int = 0, upto: int
) -> Iterator[list[Fact]]:
    """Yield the events of up to STREAMS streams with after < position <= upto, page by page.

    All kinds of events are among them. A page holds about PAGE_BYTES of data.
    """
    if not 0 < len(streams) <= STREAMS:
        raise ValueError(f"1 to {STREAMS} streams, not {len(streams)}")
    marks = ",".join(["%s"] * len(streams))
    which = "= %s" if len(streams) == 1 else f"IN ({marks})"
    return _pages(line, f"{_forced()} WHERE e.stream_id {which}", streams, after, upto)


def all_streams(line: Line, *, after: int = 0, upto: int) -> Iterator[list[Fact]]:
    """Yield the events of all streams with after < position <= upto, in order, page by page."""
    return _pages(line, " WHERE +e.stream_id IS NOT NULL", [], after, upto)


Row = tuple[int, int, int, int, bytes | None]  # as a Fact, with a place for its position


class Share(NamedTuple):
    """One of `of` shares of all streams: every `of`-th by number, but of the busiest a stretch.

    apart  of each that is too busy for one share: (number, low, high): its events with
           low < position <= high belong to this one
    """

    n: int = 0
    of: int = 1
    apart: tuple[tuple[int, int, int], ...] = ()

    def condition(self) -> str:
        """Return SQL that holds for the rows of this share."""
        if self.of == 1:
            return ""
        own = f"e.stream_id %% {self.of:d} = {self.n:d}"
        cases = "".join(
            f" WHEN {number:d} THEN (e.place & {MASK}) > {low:d} AND (e.place & {MASK}) <= {high:d}"
            for number, low, high in self.apart
        )
        return f" AND CASE e.stream_id{cases} ELSE {own} END" if cases else f" AND {own}"


WHOLE = Share()


def rows(
    line: Line, streams: Sequence[int] | None, *, after: int = 0, upto: int, share: Share = WHOLE
) -> Iterator[tuple[int, list[Row]]]:  # fmt: skip
    """Yield (what to take from a place for its position, rows) page by page, for tight loops.

    streams   None for all, or for a share of all
    """
    if streams is None:
        which = f" WHERE +e.stream_id IS NOT NULL{share.condition()}"
        return _rows(line, which, [], after, upto)
    marks = ",".join(["%s"] * len(streams))
    return _rows(line, f"{_forced()} WHERE e.stream_id IN ({marks})", streams, after, upto)


def _pages(
    line: Line, which: str, values: Sequence[int], after: int, upto: int
) -> Iterator[list[Fact]]:
    for base, found in _rows(line, which, values, after, upto):
        yield [
            Fact(place - base, stream, lane, time, None if data is None else bytes(data))
            for place, stream, lane, time, data in found
        ]


def _rows(
    line: Line, which: str, values: Sequence[int], after: int, upto: int
) -> Iterator[tuple[int, list[Row]]]:
    sql = (
        f"SELECT e.place, e.stream_id, e.lane_id, e.log_time, e.data FROM eventlog_event e{which}"
        " AND e.place > %s AND e.place <= %s ORDER BY e.place LIMIT %s"
    )
    limit = FIRST_ROWS
    for part in line.within(after, upto):
        low, base = part.low, part.low - part.after
        while True:
            rows = store.fetch(sql, [*values, low, part.high, limit])
            if rows:
                yield base, rows
            if len(rows) < limit:
                break
            low = rows[-1][0]
            size = sum(len(row[4] or b"") for row in rows) or 1
            limit = max(8, min(PAGE_ROWS, limit * 4, PAGE_BYTES * len(rows) // size))


def recorded(
    line: Line, stream: int, *, after: int = 0, upto: int, limit: int = 500
) -> list[Recorded]:
    """Return the events of a stream with after < position <= upto, whole, at most `limit`."""
    found: list[Recorded] = []
    for part in line.within(after, upto):
        if len(found) < limit:
            found += load(
                line,
                "e.stream_id = %s AND e.place > %s AND e.place <= %s ORDER BY e.place LIMIT %s",
                [stream, part.low, part.high, limit - len(found)],
            )
    return found


def positions(line: Line, stream: int, *, after: int = 0, upto: int) -> list[tuple[int, int]]:
    """Return (position, lane) of a stream's events with after < position <= upto, in order."""
    found: list[tuple[int, int]] = []
    for part in line.within(after, upto):
        base = part.low - part.after
        rows = store.fetch(
            f"SELECT e.place, e.lane_id FROM eventlog_event e{_forced()}"
            " WHERE e.stream_id = %s AND e.place > %s AND e.place <= %s ORDER BY e.place",
            [stream, part.low, part.high],
        )
        found += [(place - base, lane) for place, lane in rows]
    return found


def around(
    line: Line, stream: int, at: int, *, back: int = 0, ahead: int = 0, upto: int
) -> list[tuple[int, int, int]]:
    """Return (position, lane, log_time) of a stream's events around a position, in order.

    back   how many at or before `at`
    ahead  how many after it, up to the position `upto`
    """
    before: list[tuple[int, int, int]] = []
    for part in reversed(line.within(0, at)):
        before += _near(part, stream, " DESC", back - len(before))
    after: list[tuple[int, int, int]] = []
    for part in line.within(at, upto):
        after += _near(part, stream, "", ahead - len(after))
    return [*reversed(before), *after]


def _near(part: Segment, stream: int, order: str, limit: int) -> list[tuple[int, int, int]]:
    rows = store.fetch(
        f"SELECT e.place, e.lane_id, e.log_time FROM eventlog_event e{_forced()}"
        " WHERE e.stream_id = %s AND e.place > %s AND e.place <= %s"
        f" ORDER BY e.place{order} LIMIT %s",
        [stream, part.low, part.high, max(0, limit)],
    )
    return [(position(place), lane, time) for place, lane, time in rows]


def last_places(line: Line, ids: Sequence[int], *, upto: int) -> dict[int, int]:
    """Return the position of each stream's last event up to a moment, for those that have one."""
    found: dict[int, int] = {}
    for part in reversed(line.within(0, upto)):
        missing = [n for n in ids if n not in found]
        for clause, values in store.among(missing):
            rows = store.fetch(
                "SELECT s.id, (SELECT e.place FROM eventlog_event e WHERE e.stream_id = s.id"
                " AND e.place > %s AND e.place <= %s ORDER BY e.place DESC LIMIT 1)"
                f" FROM eventlog_stream s WHERE s.id {clause}",
                [part.low, part.high, *values],
            )
            found |= {n: position(place) for n, place in rows if place is not None}
    return found


def grown(line: Line, ids: Sequence[int], *, upto: int, least: int) -> list[int]:
    """Return those streams that have at least so many events up to a position."""
    found: list[int] = []
    for part in reversed(line.within(0, upto)):
        for clause, values in store.among(n for n in ids if n not in found):
            rows = store.fetch(
                "SELECT s.id, (SELECT e.revision FROM eventlog_event e WHERE e.stream_id = s.id"
                " AND e.place > %s AND e.place <= %s ORDER BY e.place DESC LIMIT 1)"
                f" FROM eventlog_stream s WHERE s.id {clause}",
                [part.low, part.high, *values],
            )
            found += [n for n, revision in rows if (revision or 0) + 1 >= least]
    return found


def recent(line: Line, *, upto: int, limit: int, rows: int = 20_000) -> list[tuple[int, int]]:
    """Return (stream, position) of the streams changed last up to a moment, newest first.

    rows  events looked at, at most; streams silent for longer are not among them
    """
    found: dict[int, int] = {}
    step = 500
    for part in reversed(line.within(0, upto)):
        high = part.high
        while rows > 0 and len(found) < limit and high > part.low:
            low = max(part.low, high - step)
            for place, stream in store.fetch(
                "SELECT e.place, e.stream_id FROM eventlog_event e"
                " WHERE e.place > %s AND e.place <= %s AND +e.stream_id IS NOT NULL"
                " ORDER BY e.place DESC",
                [low, high],
            ):
                found.setdefault(stream, position(place))
            rows, high, step = rows - step, low, min(step * 2, 5000)
    return sorted(found.items(), key=lambda each: -each[1])[:limit]


def revisions(line: Line, ids: Sequence[int], *, upto: int) -> dict[int, int]:
    """Return how many events each of these streams has up to a position, of those that have any."""
    found: dict[int, int] = {}
    for stream, last in last_places(line, ids, upto=upto).items():
        for place in line.places([last]):
            rows = store.fetch("SELECT revision FROM eventlog_event WHERE place = %s", [place])
            found[stream] = (rows[0][0] or 0) + 1
    return found
