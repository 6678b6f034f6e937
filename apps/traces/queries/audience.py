"""Subscribers as of a moment, bounded however many deliveries and subscribers there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from apps.eventlog.outline import Outline
from apps.eventlog.places import Line, position
from apps.eventlog.queries.lanes import Strings, lanes
from apps.eventlog.queries.plan import plan
from apps.eventlog.queries.ticks import lanes_at
from apps.eventlog.queries.totals import by_lane
from apps.eventlog.told import read
from apps.traces.audience import Lag, Seen, Subscriber, gathered
from apps.traces.deliveries import reported, service
from apps.traces.store import fetch

SHOWN = 200  # subscribers, those with the most deliveries
LOOKED_AT = 12_000  # deliveries, shared by the lanes of those that are shown
PER_LANE = 400
PARTITIONS = 200  # newest words of a bus on one channel


class Audience(NamedTuple):
    """The subscribers of a timeline, most deliveries first, and how many there are in all."""

    subscribers: list[Subscriber]
    total: int


def audience(line: Line, *, at: int, since: int = 0, only: str = "") -> Audience:
    """Return who was told anything up to a position.

    since  counts what was told after this position alone
    only  the name of the one to look at, closer; nobody where it was never told anything
    cost  one walk of an index for each subscriber, outcome and tap, of at most 400 rows
    """
    known = lanes(line.system)
    told = {n: s for n, s in known.items() if s.kind == "delivery" and _fits(s, only)}
    lagging = {n: s for n, s in known.items() if s.type == "progress" and s.kind == "progress"}
    totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
    of: defaultdict[str, list[int]] = defaultdict(list)
    every = frozenset(told) | {n for n, s in lagging.items() if _fits(s, only)}
    counts = by_lane(plan(line, "", at=at, after=since), every) if every else {}
    for number, (count, _) in counts.items():
        strings = known[number]
        name = service(strings.source)
        of[name].append(number)
        if number in told:
            totals[name][strings.type] += count
    names = sorted(of, key=lambda name: (-totals[name].total(), name))
    shown = names[:SHOWN]
    walked = sum(len(of[name]) for name in shown)
    share = min(PER_LANE, max(10, LOOKED_AT // max(1, walked)))
    rows = [row for name in shown for n in of[name] if n in told
            for row in _newest(line, n, since, at, share)]  # fmt: skip
    seen = _seen(line, rows, known)
    found = [
        gathered(name, totals[name], seen.get(name, ()),
                 [lag for n in of[name] if n in lagging for lag in _lags(line, n, at, known[n])])
        for name in shown
    ]  # fmt: skip
    return Audience(found, len(names))


def _fits(strings: Strings, only: str) -> bool:
    return not only or service(strings.source) == only


class Row(NamedTuple):
    """One report as it is in the log."""

    position: int
    lane: int
    log_time: int
    time: int
    cause: int  # 0 where it is not known
    data: bytes


def _newest(line: Line, lane: int, since: int, at: int, most: int) -> Iterable[Row]:
    """Yield a lane's newest reports with since < position <= at, the newest first."""
    for part in reversed(line.within(since, at)):
        rows = fetch(
            "SELECT place, lane_id, log_time, time, cause, data FROM eventlog_event"
            " WHERE lane_id = %s AND place > %s AND place <= %s ORDER BY place DESC LIMIT %s",
            [lane, part.low, part.high, most],
        )
        for place, number, log_time, time, cause, data in rows:
            yield Row(position(place), number, log_time, time, cause or 0, bytes(data or b""))
        most -= len(rows)
        if most <= 0:
            return


def _seen(line: Line, rows: list[Row], known: dict[int, Strings]) -> dict[str, list[Seen]]:
    """Return the deliveries that reports tell of, by subscriber."""
    causes = lanes_at(line, {row.cause for row in rows if row.cause})
    reports: defaultdict[tuple[str, int], list[Outline]] = defaultdict(list)
    about: dict[int, Row] = {}
    for row in rows:
        strings = known[row.lane]
        about[row.position] = row
        # One whose event is not in the log is about an event of its own.
        reports[service(strings.source), row.cause or -row.position].append(
            Outline(row.position, "delivery", strings.type, strings.source, row.time, data=row.data)
        )
    found: defaultdict[str, list[Seen]] = defaultdict(list)
    for (name, cause), some in reports.items():
        of = known.get(causes.get(cause, -1))
        for delivery in reported(cause, sorted(some, key=lambda o: o.position)):
            row = about[delivery.position or 0]
            tap = known[row.lane].tap
            found[name].append(Seen(delivery, of.type if of else "", tap, row.log_time))
    return found


def _lags(line: Line, lane: int, at: int, strings: Strings) -> list[Lag]:
    """Return how far behind a bus last said somebody is: the sum over a channel's partitions."""
    latest: dict[str, tuple[int, int, int]] = {}
    for part in reversed(line.within(0, at)):
        rows = fetch(
            "SELECT place, log_time, partition, data FROM eventlog_event"
            " WHERE lane_id = %s AND place > %s AND place <= %s ORDER BY place DESC LIMIT %s",
            [lane, part.low, part.high, PARTITIONS],
        )
        for place, time, partition, data in rows:
            lag = read(bytes(data or b"")).lag
            if lag is not None:
                latest.setdefault(partition or "", (lag, time, position(place)))
        if latest:
            break
    if not latest:
        return []
    newest = max(latest.values(), key=lambda told: told[2])
    behind = sum(lag for lag, _, _ in latest.values())
    return [Lag(strings.channel, behind, newest[1], newest[2])]
