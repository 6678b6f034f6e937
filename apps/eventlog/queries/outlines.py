"""Events in outline: by position, by correlation, and by what caused what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from apps.eventlog import seen, store
from apps.eventlog.envelope import OTLP
from apps.eventlog.outline import Outline
from apps.eventlog.places import Line, Segment, position
from apps.eventlog.queries.lanes import lanes_of

SPAN = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}(?:@[0-9]+)?")
AT_ONCE = 400  # roots whose closures are read together
CHAIN = 200_000  # causes or effects followed at most

_SELECT = (
    "SELECT e.place, e.lane_id, e.time, e.cause, e.correlation_id, e.stream_id, e.revision, {}"
    " FROM eventlog_event e WHERE "
)
_Rows = Sequence[Sequence[Any]]


def page(line: Line, *, after: int, upto: int) -> list[Outline]:
    """Return the events with after < position <= upto, in order. The caller bounds the span."""
    found: list[Outline] = []
    for part in line.within(after, upto):
        found += _outlines(line, "e.place > %s AND e.place <= %s", [part.low, part.high])
    return found


def at(line: Line, positions: Iterable[int]) -> list[Outline]:
    """Return the events at `positions`, in order, without those there are not."""
    found: list[Outline] = []
    for clause, values in store.among(sorted(set(line.places(positions)))):
        found += _outlines(line, f"e.place {clause}", values)
    return sorted(found)


def correlated(line: Line, correlations: Iterable[int], *, upto: int) -> list[Outline]:
    """Return the events of some correlations up to a position, in order."""
    found: list[Outline] = []
    wanted = sorted(set(correlations))
    for part in line.within(0, upto):
        for clause, values in store.among(wanted):
            found += _outlines(
                line,
                f"e.correlation_id {clause} AND {_RANGE}",
                [*values, part.low, part.high],
            )
    return sorted(found)


_RANGE = "+e.place > %s AND +e.place <= %s"  # the plus: not by walking the whole log


def effects(line: Line, causes: Sequence[int], *, upto: int) -> list[Outline]:
    """Return what the events at `causes` caused directly, up to a position, in order."""
    found: list[Outline] = []
    for part in line.within(0, upto):
        for clause, values in store.among(causes):
            found += _outlines(
                line, f"e.cause {clause} AND {_RANGE}", [*values, part.low, part.high]
            )
    return sorted(found)


def late_effects(line: Line, *, after: int, upto: int) -> list[Outline]:
    """Return the events up to `after` whose cause came later: among after < position <= upto."""
    found: list[Outline] = []
    for part in line.within(0, after):
        found += _outlines(
            line,
            f"e.cause > %s AND e.cause <= %s AND {_RANGE}",
            [after, upto, part.low, part.high],
        )
    return sorted(found)


def origins(line: Line, positions: Iterable[int], *, upto: int) -> dict[int, int]:
    """Return for each event without a correlation id the one at the beginning of its causes.

    The chain ends before an event with a correlation id, which has a trace of its own. Of causes
    that lead in a circle it is the first in the log. At most CHAIN steps are taken.
    """
    causes: dict[int, int | None] = {}
    wanted = list(set(positions))
    frontier = set(wanted)
    while frontier and len(causes) < CHAIN:
        found = _chains(line, frontier, upto)
        causes |= found
        frontier = {c for c in found.values() if c is not None and c not in causes} & _free(
            line, found.values()
        )
    return {p: _top(p, causes) for p in wanted}


def _chains(line: Line, positions: set[int], upto: int) -> dict[int, int | None]:
    """Return the causes of `positions`, their causes and so on, each within its own segment."""
    found: dict[int, int | None] = {}
    for part in line.within(0, upto):
        base = part.low - part.after
        for clause, values in store.among(sorted(base + p for p in positions)):
            sql = (
                f"WITH RECURSIVE up(p) AS (SELECT place FROM eventlog_event WHERE place {clause}"
                " UNION SELECT CAST(%s AS bigint) + e.cause"
                " FROM up JOIN eventlog_event e ON e.place = up.p"
                " WHERE e.cause > %s AND e.cause <= %s AND e.correlation_id IS NULL)"
                " SELECT up.p, e.cause FROM up JOIN eventlog_event e ON e.place = up.p"
                " WHERE e.correlation_id IS NULL LIMIT %s"
            )
            rows = store.fetch(sql, [*values, base, part.after, part.upto, CHAIN])
            for key, cause in rows:
                found[position(key)] = cause if cause is None or cause <= upto else None
    return found


def _free(line: Line, positions: Iterable[int | None]) -> set[int]:
    """Return those of `positions` that hold an event without a correlation id."""
    found: set[int] = set()
    for clause, values in store.among(line.places(p for p in set(positions) if p is not None)):
        rows = store.fetch(
            f"SELECT place FROM eventlog_event WHERE place {clause} AND correlation_id IS NULL",
            values,
        )
        found.update(position(key) for (key,) in rows)
    return found


def _top(start: int, causes: dict[int, int | None]) -> int:
    seen: dict[int, None] = {}
    here: int | None = start
    last = start
    while here is not None and here in causes and here not in seen:
        seen[here] = None
        last, here = here, causes[here]
    if here is not None and here in seen:
        walk = list(seen)
        return min(walk[walk.index(here) :])
    return last


def closure(line: Line, root: int, *, upto: int) -> list[Outline]:
    """Return an event and all that descends from it up to a position, in order, at most CHAIN.

    Descent ends before an event with a correlation id, which has a trace of its own.
    """
    found: dict[int, Outline] = {o.position: o for o in at(line, [root])}
    for part in line.within(0, upto):
        base = part.low - part.after
        starts = sorted(found)[: store.SLICE]
        marks = ", ".join(["(CAST(%s AS bigint))"] * len(starts))  # as wide as what joins them
        sql = (
            f"WITH RECURSIVE down(p) AS (SELECT * FROM (VALUES {marks}) v UNION"
            " SELECT e.place - CAST(%s AS bigint)"
            " FROM down CROSS JOIN eventlog_event e WHERE e.cause = down.p"
            f" AND {_RANGE} AND e.correlation_id IS NULL) SELECT p FROM down LIMIT %s"
        )
        if not starts:
            break
        rows = store.fetch(sql, [*starts, base, part.low, part.high, CHAIN])
        new = [p for (p,) in rows if p not in found and part.after < p <= part.upto]
        for clause, values in store.among(base + p for p in sorted(new)):
            found |= {o.position: o for o in _outlines(line, f"e.place {clause}", values)}
    return sorted(found.values())


def closures(line: Line, roots: Iterable[int], *, upto: int) -> dict[int, list[Outline]]:
    """Return the closure of each root, as `closure` does, with few statements for many of them."""
    wanted = sorted(set(roots))
    parts = line.within(0, upto)
    if len(parts) > 1 or len(wanted) == 1:  # a fork's lead from one segment into the next
        return {root: closure(line, root, upto=upto) for root in wanted}
    found: dict[int, list[Outline]] = {root: [] for root in wanted}
    for part in parts:
        for at_once in range(0, len(wanted), AT_ONCE):
            some = wanted[at_once : at_once + AT_ONCE]
            pairs = _descent(part, some)
            if len(pairs) > CHAIN:
                found |= {root: closure(line, root, upto=upto) for root in some}
                continue
            held = {o.position: o for o in at(line, {p for _, p in pairs})}
            for root, p in pairs:
                if p in held:
                    found[root].append(held[p])
    return {root: sorted(each) for root, each in found.items()}


def _descent(part: Segment, roots: Sequence[int]) -> list[tuple[int, int]]:
    """Return (root, position) of all that descends from some roots, within one segment."""
    base = part.low - part.after
    marks = ", ".join(["(CAST(%s AS bigint))"] * len(roots))
    sql = (
        f"WITH RECURSIVE start(p) AS (SELECT * FROM (VALUES {marks}) v), down(root, p) AS"
        " (SELECT p, p FROM start UNION SELECT down.root, e.place - CAST(%s AS bigint)"
        " FROM down CROSS JOIN eventlog_event e WHERE e.cause = down.p"
        f" AND {_RANGE} AND e.correlation_id IS NULL) SELECT root, p FROM down LIMIT %s"
    )
    rows = store.fetch(sql, [*roots, base, part.low, part.high, CHAIN + 1])
    return [(root, p) for root, p in rows if part.after < p <= part.upto]


def correlation_number(line: Line, name: str) -> int | None:
    """Return the number of a correlation id, None where the system has none of that name."""
    rows = store.fetch(
        "SELECT id FROM eventlog_correlation WHERE system_id = %s AND name = %s",
        [line.system, name],
    )
    return rows[0][0] if rows else None


def correlation_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the correlation ids by number."""
    found: dict[int, str] = {}
    for clause, values in store.among(sorted(set(numbers))):
        found |= dict(
            store.fetch(f"SELECT id, name FROM eventlog_correlation WHERE id {clause}", values)
        )
    return found


def stream_names(numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of streams by number."""
    found: dict[int, str] = {}
    for clause, values in store.among(sorted(set(numbers))):
        found |= dict(
            store.fetch(f"SELECT id, name FROM eventlog_stream WHERE id {clause}", values)
        )
    return found


def _outlines(line: Line, where: str, parameters: Sequence[Any]) -> list[Outline]:
    reports = _report_lanes(line)
    data = f"CASE WHEN e.lane_id IN ({','.join(map(str, reports))}) THEN e.data END"
    select = _SELECT.format(data if reports else "NULL")
    rows = store.fetch(f"{select}{where} ORDER BY e.place", parameters)
    if not rows:
        return []
    waiting = _waiting([row[0] for row in rows if row[3] is None])
    strings = lanes_of(line.system, {row[1] for row in rows})
    heads = {lane: s[:3] for lane, s in strings.items()}
    spanned = {lane for lane, s in strings.items() if s.tap == OTLP}
    return [
        Outline(
            position(place), *heads[lane], time, cause, correlation, stream, revision,
            place in waiting, None if raw is None else bytes(raw), lane in spanned,
        )
        for place, lane, time, cause, correlation, stream, revision, raw in rows
    ]  # fmt: skip


def span_ids(line: Line, *, after: int, upto: int) -> list[tuple[int, str]]:
    """Return (position, id) of what spans made of the log with after < position <= upto."""
    lanes = store.fetch(
        "SELECT id FROM eventlog_lane WHERE system_id = %s AND tap = %s", [line.system, OTLP]
    )
    found: list[tuple[int, str]] = []
    for part in line.within(after, upto) if lanes else ():
        rows = store.fetch(
            "SELECT place, event_id FROM eventlog_event WHERE place > %s AND place <= %s"
            f" AND lane_id IN ({','.join(str(lane) for (lane,) in lanes)}) ORDER BY place",
            [part.low, part.high],
        )
        found += [(position(key), seen.unpack_id(bytes(packed))) for key, packed in rows]
    return found


def _report_lanes(line: Line) -> list[int]:
    rows = store.fetch(
        "SELECT id FROM eventlog_lane WHERE system_id = %s AND kind IN ('delivery', 'span')",
        [line.system],
    )
    return [lane for (lane,) in rows]


def _waiting(places: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for clause, values in store.among(places):
        rows = store.fetch(
            f"SELECT place, causation FROM eventlog_waiting WHERE place {clause}", values
        )
        # A span that was not sampled is no cause that was lost.
        found.update(place for place, causation in rows if not SPAN.fullmatch(causation))
    return found
