"""What belongs to a trace: a correlation or the effects of a first cause, and what is joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import outlines
from apps.traces import store
from apps.traces.carried import groups
from apps.traces.queries.changes import digest

CARRIERS = ("delivery", "span")
ROUNDS = 20  # from one group to the next
MOST = 200_000  # events of one trace that are read; more are said to be left out
DEEP = 50  # deliveries and spans below one another


def of(
    line: Line, *, correlation: int | None = None, root: int | None = None, upto: int
) -> list[Outline]:
    """Return the events of a correlation, or all that descends from a root, up to a position.

    With them comes what is joined to them by links: further causes, and what those caused.
    """
    if correlation is not None:
        found = outlines.correlated(line, [correlation], upto=upto)
    else:
        assert root is not None
        found = outlines.closure(line, root, upto=upto)
    return with_joined(line, found, upto=upto)


def with_joined(line: Line, found: Sequence[Outline], *, upto: int) -> list[Outline]:
    """Return some events with all that links join to them, in order."""
    names = groups(found)
    if not names:
        return list(found)
    held = {o.position: o for o in found}
    seen: set[str] = set()
    for _ in range(ROUNDS):
        fresh = names - seen
        if not fresh or len(held) > MOST:
            break
        seen |= fresh
        others = [p for p in _members(line, fresh, upto) if p not in held]
        more: dict[int, Outline] = {}
        for one in outlines.at(line, others):
            more |= {o.position: o for o in outlines.closure(line, one.position, upto=upto)}
        causes = {o.cause for o in more.values() if o.cause is not None and o.cause <= upto}
        more |= {o.position: o for o in outlines.at(line, causes - held.keys() - more.keys())}
        held |= more
        names = groups(more.values())
    return sorted(held.values())


def _members(line: Line, names: Iterable[str], upto: int) -> list[int]:
    found: list[int] = []
    for clause, values in store.among(digest(name) for name in names):
        rows = store.fetch(
            f"SELECT position FROM traces_link WHERE timeline = %s AND digest {clause}"
            " AND position <= %s",
            [line.timeline, *values, upto],
        )
        found += [position for (position,) in rows]
    return found


def below(line: Line, position: int, *, upto: int) -> list[Outline]:
    """Return what an event caused, directly or by way of deliveries and spans, in order."""
    found: dict[int, Outline] = {}
    frontier = [position]
    for _ in range(DEEP):
        effects = [
            o for o in outlines.effects(line, frontier, upto=upto) if o.position not in found
        ]
        found |= {o.position: o for o in effects}
        # A span of sending within another is the same message.
        frontier = [o.position for o in effects if o.kind in CARRIERS or o.spanned]
        if not frontier:
            break
    return sorted(found.values())


def by_trace_id(line: Line, text: str) -> int | None:
    """Return where a trace of OpenTelemetry begins in the log; None where none has this id."""
    rows = store.fetch(
        "SELECT position FROM traces_traceid WHERE timeline = %s AND digest = %s",
        [line.timeline, digest(text.lower())],
    )
    return rows[0][0] if rows else None
