"""Counters filled from the log: the minute before a moment, at once or as the log grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.db import connection

from apps.eventlog.places import Line
from apps.eventlog.queries import levels, log, ticks
from apps.eventlog.queries.lanes import Strings, lanes
from apps.live import order
from apps.live.counters import BESIDE, SECOND, SETTLED, WINDOW, Counters, Lane, Route
from apps.live.flow import Seen

MOST = 20_000  # events read to fill the minute
SPARK_S = 10  # of one point of a sparkline
POINTS = 90  # of a sparkline: 15 min


def counted(line: Line, *, at: int) -> Counters:
    """Return the counters as of a position: of the minute before it, or its last MOST events."""
    counters = Counters(_known(line))
    time = log.time_at(line, at) if at else None
    if time is None:
        return counters
    after = max(log.position_at(line, time - WINDOW * SECOND), at - MOST, 0)
    _take(counters, line, after, at)
    return counters


def caught_up(counters: Counters | None, line: Line) -> Counters:
    """Return counters that hold all up to the line's head: these, or new ones where that is less.

    Not to be called twice at once with the same ones.
    """
    if counters is None or line.head - counters.position > MOST or line.head < counters.position:
        return counted(line, at=line.head)
    if line.head > counters.position:
        counters.lanes = _known(line)
        _take(counters, line, counters.position, line.head)
    return counters


def _take(counters: Counters, line: Line, after: int, upto: int) -> None:
    found = ticks.ticks(line, after=after, upto=upto)
    fresh = {tick.position for tick in found}
    old = counters.unknown(tick.cause for tick in found) - fresh
    counters.take(found, ticks.lanes_at(line, old) if old else {})
    counters.position = upto


_lanes: dict[int, tuple[int, dict[int, Lane]]] = {}  # lanes are never changed: their number tells


def _known(line: Line) -> dict[int, Lane]:
    found: Mapping[int, Strings] = lanes(line.system)
    if connection.in_atomic_block:  # what is not committed may be rolled back: not remembered
        return {n: _lane(strings) for n, strings in found.items()}
    known = _lanes.get(line.system)
    if known is None or known[0] != len(found) or known[1].keys() != found.keys():
        known = len(found), {n: _lane(strings) for n, strings in found.items()}
        _lanes[line.system] = known
    return known[1]


def _lane(strings: Strings) -> Lane:
    service = strings.source.removeprefix("/") or strings.source
    return Lane(strings.kind, strings.type, service, strings.channel)


def sparks(line: Line, *, time: int) -> dict[str, list[int]]:
    """Return the events of each type in each ten seconds of the 15 minutes up to a log_time.

    The last point is the ten seconds that hold it, up to the line's head. Types by how much there
    was of them.
    """
    last = time // (SPARK_S * SECOND)
    first = last - POINTS + 1
    of = {n: lane for n, lane in _known(line).items() if lane.kind in ("event", "command")}
    found: dict[str, list[int]] = {}
    for at, counts in ticks.spans(line, first, last, span=SPARK_S * SECOND).items():
        for number, count in counts.items():
            if number in of:
                found.setdefault(of[number].type, [0] * POINTS)[at - first] += count
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1]), item[0])))


def backlogs(line: Line, counters: Counters, *, time: int) -> dict[str, list[int]]:
    """Return how many events each subscriber was behind, at the same points as `sparks`.

    Counted back from what is open now: what it answers for was published, what it settled is done.
    Where its bus says how far behind it is, that counts.
    """
    last = time // (SPARK_S * SECOND)
    first = last - POINTS + 1
    counts = ticks.spans(line, first, last, span=SPARK_S * SECOND)
    done: dict[str, set[int]] = {}
    for number, lane in counters.lanes.items():
        if lane.kind == "delivery" and lane.type in SETTLED:
            done.setdefault(lane.service, set()).add(number)
    open_: Counter[str] = Counter()
    for route, behind in counters.behind().items():
        open_[route.subscriber] += behind
    found = {}
    for name, lanes_ in counters.wanted().items():
        published = [sum(counts[at].get(n, 0) for n in lanes_) for at in range(first, last + 1)]
        settled = [
            sum(counts[at].get(n, 0) for n in done.get(name, ())) for at in range(first, last + 1)
        ]
        found[name] = _back(open_[name], published, settled)
    return found | (_told_lags(line, first, last) if counters.lags else {})


def _back(now: int, published: Sequence[int], settled: Sequence[int]) -> list[int]:
    points = [now]
    for came, went in zip(reversed(published[1:]), reversed(settled[1:]), strict=True):
        points.append(max(0, points[-1] - came + went))
    return points[::-1]


def _told_lags(line: Line, first: int, last: int) -> dict[str, list[int]]:
    """Return the lags buses told of; one holds until another is told."""
    now: dict[levels.What, int] = {}
    found: dict[str, list[int]] = {}
    for n, of in enumerate(levels.levels(line, first, last, span=SPARK_S * SECOND).values()):
        for what, level in of.items():
            if what.code == "lag":
                now[what] = round(levels.unscaled("lag", level.total))
        for name in {what.subscriber for what in now}:
            series = found.setdefault(name, [0] * POINTS)
            series[n] = sum(lag for what, lag in now.items() if what.subscriber == name)
    return found


def seen(line: Line, *, time: int) -> Seen:
    """Return who took part in the 15 minutes before a log_time.

    Who is told on which channel is known from the first events of the log.
    """
    last = time // (SPARK_S * SECOND)  # not whole yet: it may hold what comes after the moment
    counts: Counter[int] = Counter()
    for each in ticks.spans(line, last - POINTS, last - 1, span=SPARK_S * SECOND).values():
        counts.update(each)
    known = _known(line)
    there = [n for n, count in counts.most_common(TOOK_PART) if count and n in known]
    events = {n: counts[n] for n in there if known[n].kind not in BESIDE}
    told = {known[n].service for n in there if known[n].kind == "delivery"}
    channels = {known[n].channel for n in events}
    ways = _beginning(line).routes
    return Seen(events, {w for w in ways if w.subscriber in told and w.channel in channels})


FIRST, TOOK_PART = 5000, 2000  # events that tell who comes first; lanes that have a place


class Beginning(NamedTuple):
    """What the first events of a log tell. Those of a log that is longer tell the same for ever."""

    lanes: int  # known then
    upto: int
    hops: list[str]
    routes: set[Route]


_beginnings: dict[int, Beginning] = {}


def hops(line: Line) -> list[str]:
    """Return the services from the one things begin with, by how many steps they are from it.

    Told by the first events of the log, so the answer stays the same.
    """
    return _beginning(line).hops


def _beginning(line: Line) -> Beginning:
    upto, lanes_ = min(FIRST, line.head), _known(line)
    if connection.in_atomic_block:
        return _read(line, upto, lanes_)
    found = _beginnings.get(line.timeline)
    # A young log is looked at again when it has grown by half; one that is long enough never.
    if found is None or found.lanes != len(lanes_) or _outgrown(found.upto, upto):
        found = _beginnings[line.timeline] = _read(line, upto, lanes_)
    return found


def _outgrown(read: int, upto: int) -> bool:
    return upto > read and (upto == FIRST or 2 * upto >= 3 * read)


def _read(line: Line, upto: int, lanes_: Mapping[int, Lane]) -> Beginning:
    first = ticks.ticks(line, after=0, upto=upto)
    return Beginning(len(lanes_), upto, order.hops(first, lanes_), order.routes(first, lanes_))
