"""What the page of a sandbox shows of a run: the lanes, and the states at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from apps.eventlog.envelope import Recorded, Undecodable
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries.search import search
from apps.eventlog.terms import written
from apps.pages.blamed import gist
from apps.pages.queries.services import Cast, cast
from apps.pages.tiles import Tile
from apps.pages.words import plural, visible
from apps.projections.answers import encoded
from apps.sandbox.commands.settle import links_of
from apps.sandbox.queries.comparison import changed, kept_states, pairs_of
from apps.sandbox.queries.forks import Run

LANES = 300  # rows of lanes
TRACE = 200  # events of the trace at hand
FIELDS = 6  # of one entity in the table
ENTITIES = 40
LONG = 60
CUT = 20  # entries left out that are worth a line
SIGNS = {"same": "=", "changed": "≠", "missing": "−", "new": "+"}


class Side(NamedTuple):
    """One event of a lane."""

    position: int
    time: str
    tile: Tile
    type: str
    words: str


class Row(NamedTuple):
    """One line of the lanes; `between` is how many entries are left out before it."""

    verdict: str
    sign: str
    original: Side | None
    sandbox: Side | None
    unexpected: bool
    moved: bool
    change: tuple[str, str, str] | None  # of a changed one: field, before, after
    between: int = 0


class Lanes(NamedTuple):
    """What is shown side by side, and the trace it is about, "" for every difference."""

    rows: list[Row]
    focus: str
    name: str
    complete: bool
    after: int  # entries left out at the end


def lanes(run: Run, original: Line, line: Line, *, everything: bool) -> Lanes:
    """Return the trace of the first difference side by side, or every difference."""
    pairs = pairs_of(run)
    links = links_of(run)
    first = run.fork.base + 1
    made_of = {k.original: first + n for n, k in enumerate(links) if k.original}
    differing = [p for p in pairs if p[0] != "same"]
    here, there = _entries(original, line, differing[:1])
    focus = _focus(differing, here, there) if differing else _planted(run, original)
    if not everything:
        named = {p[1]: p for p in pairs if p[1]} | {-p[2]: p for p in pairs if not p[1]}
        chosen = _of_trace(run, original, line, focus, named, made_of)
    else:
        chosen = differing[:LANES]
    here, there = _entries(original, line, chosen)
    name = _name(original, line, focus)
    rows = _rows(run, chosen, here, there, links, first)
    last = _key(chosen[-1], links, first)[0] if chosen else run.fork.base
    return Lanes(
        rows, focus, name, everything is False or len(differing) <= LANES, run.fork.until - last
    )


def _entries(
    original: Line, line: Line, pairs: Sequence[list[Any]]
) -> tuple[dict[int, Recorded], dict[int, Recorded]]:
    then = log.events_at(original, {p[1] for p in pairs if p[1]})
    here = log.events_at(line, {p[2] for p in pairs if p[2]})
    return {e.position: e for e in then}, {e.position: e for e in here}


def _focus(
    pairs: Sequence[list[Any]], here: dict[int, Recorded], there: dict[int, Recorded]
) -> str:
    entry = here.get(pairs[0][1] or 0) or there.get(pairs[0][2] or 0)
    return entry.correlation if entry else ""


def _name(original: Line, line: Line, focus: str) -> str:
    """Return what a trace is called: the stream of its first event, else its correlation."""
    if not focus:
        return ""
    text = f"kind:event,command correlation:{written(focus)}"
    for each in (original, line):
        for first in search(each, text, limit=1, ascending=True).events:
            return first.stream or focus
    return focus


def _planted(run: Run, original: Line) -> str:
    """Return the trace of the first edit, or of the first event after the fork point."""
    wanted = [e.get("position") or e.get("after") or 0 for e in run.edits if e.get("on", True)]
    at = [p for p in (*wanted, run.fork.base + 1) if p]
    found = {e.position: e.correlation for e in log.events_at(original, at)}
    return next((found[p] for p in at if found.get(p)), "")


def _of_trace(
    run: Run, original: Line, line: Line, focus: str, named: dict[int, list[Any]],
    made_of: dict[int, int],
) -> list[list[Any]]:  # fmt: skip
    """Return the pairs of one trace, those that are the same among them."""
    if not focus:
        return []
    text = f"kind:event,command correlation:{written(focus)}"
    base, until = run.fork.base, run.fork.until
    then = search(original, text, after=base, before=until + 1, limit=TRACE, ascending=True)
    pairs = [
        named.get(e.position, ["same", e.position, made_of.get(e.position), False, False])
        for e in then.events
    ]
    here = search(line, text, after=base, limit=TRACE, ascending=True)
    pairs += [named[-e.position] for e in here.events if -e.position in named]
    return pairs


def _key(pair: list[Any], links: Sequence[Any], first: int) -> tuple[int, int]:
    """Return where a pair stands in the recorded order: what is new, after what it followed."""
    if pair[1]:
        return pair[1], 0
    n = pair[2] - first
    while n > 0 and not links[n].original:
        n -= 1
    return (links[n].original or first - 1) if n >= 0 else first - 1, pair[2]


def _rows(
    run: Run, pairs: list[list[Any]], here: dict[int, Recorded], there: dict[int, Recorded],
    links: Sequence[Any], first: int,
) -> list[Row]:  # fmt: skip
    pairs.sort(key=lambda pair: _key(pair, links, first))
    known = cast(log.line_of(run.timeline).system)
    start = min((e.time for e in (*here.values(), *there.values())), default=0)
    rows, before = [], run.fork.base
    for pair in pairs:
        verdict, was, is_, unexpected, moved = pair
        then, now = here.get(was or 0), there.get(is_ or 0)
        at = _key(pair, links, first)[0]
        between = max(0, at - before - 1)
        change = None
        if verdict == "changed" and then and now:
            change = _change(changed(then, now))
        rows.append(Row(
            verdict, SIGNS[verdict], _side(then, known, start), _side(now, known, start),
            unexpected, moved, change, between if between >= CUT else 0,
        ))  # fmt: skip
        before = max(before, at)
    return rows


def _side(entry: Recorded | None, known: Cast, start: int) -> Side | None:
    if entry is None:
        return None
    try:
        words = gist(entry.value())[0] if entry.data else ""
    except Undecodable:
        words = ""
    return Side(
        entry.position, f"{(entry.time - start) / 1_000_000:+.3f}", known.of(entry.source),
        visible(entry.type), words,
    )  # fmt: skip


def _change(steps: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    """Return the change of a scalar nearest to the root."""
    plain = [s for s in steps if not isinstance(s.get("before", s.get("after")), dict | list)]
    if not plain:
        return None
    best = min(plain, key=lambda s: s["path"].count("/"))
    return best["path"].strip("/"), value_text(best, "before"), value_text(best, "after")


class FieldShown(NamedTuple):
    """One field that differs at the end."""

    stream: str  # only at the first of an entity
    path: str
    before: str
    after: str
    tone: str
    was_tone: str
    more: int = 0


def states_shown(run: Run) -> tuple[list[FieldShown], int]:
    """Return what differs at the end by field, and how many entities do."""
    states = kept_states(run)
    return fields_shown(states), len(states)


def fields_shown(states: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[FieldShown]:
    """Return what differs by field, the nearest to the root first."""
    rows: list[FieldShown] = []
    for stream, steps in states[:ENTITIES]:
        steps = sorted(steps, key=_weight)
        for n, step in enumerate(steps[:FIELDS]):
            before, after = value_text(step, "before"), value_text(step, "after")
            top = step["path"].count("/") == 1  # deeper there are changes, which have a sign
            heals = top and before.startswith("−") and not after.startswith("−")
            breaks = top and after.startswith("−") and not before.startswith("−")
            more = len(steps) - FIELDS if n == FIELDS - 1 and len(steps) > FIELDS else 0
            rows.append(FieldShown(
                stream if n == 0 else "", step["path"].strip("/") or "(all)", before, after,
                "ok" if heals else "fail" if breaks else "", "fail" if heals else "", more,
            ))  # fmt: skip
    return rows


def _weight(step: dict[str, Any]) -> tuple[int, int]:
    value = step.get("before", step.get("after"))
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return step["path"].count("/") + (2 if isinstance(value, dict | list) else 0), not plain


def value_text(step: dict[str, Any], name: str) -> str:
    """Return one side of a change as it is shown."""
    if name not in step:
        return "absent"
    value = step[name]
    if isinstance(value, dict):
        return gist(value)[0]
    if isinstance(value, list):
        return plural(len(value), "element")
    text = value if isinstance(value, str) else encoded(value).decode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = text.replace("-", "−")
    text = visible(text)
    return text if len(text) <= LONG else text[:LONG] + "…"
