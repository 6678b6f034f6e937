"""One entity as the State page shows it: its state with blame, what changed, its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import outlines
from apps.pages import blamed, strips
from apps.pages.queries import beats
from apps.pages.queries.services import cast
from apps.pages.tiles import Tile
from apps.pages.words import clock, duration, place, visible
from apps.projections import blame, exact
from apps.projections.diff import Change, changes
from apps.projections.exact import MISSING
from apps.projections.queries.coded import Tell
from apps.projections.queries.histories import walk
from apps.projections.queries.states import State, state_at

BACK, AHEAD = 13, 3  # columns of the history strip before and after the playhead
LEAVES = 2000  # of a state, among which the one that says most is looked for
PLAIN = ("version", "revision", "seq", "sequence")  # numbers that only count


class Setter(NamedTuple):
    """The event that set a line."""

    position: int
    type: str
    tile: Tile
    age: str
    title: str


class Column(NamedTuple):
    """One event in the history strip."""

    position: int
    type: str
    tile: Tile
    point: strips.Point
    current: bool
    future: bool
    title: str


@dataclass
class Entity:
    """Everything the page shows of one entity at one moment."""

    stream: str
    state: State
    lines: list[tuple[blamed.Line, Setter | None]]
    all_lines: bool
    tile: Tile
    last: Outline | None  # the last event in the state
    cause: Outline | None
    changes: list[Change]
    raw: str
    previous: int | None
    following: int | None
    pointer: str
    columns: list[Column] = field(default_factory=list)
    zero: str = ""
    model: bool = False  # across streams: it has no stream of its own
    times: tuple[str, ...] = ()  # first and last of a strip to scale, none of one by events
    ink: str = ""

    @property
    def version(self) -> int:
        """How many events the stream has by now; 0 of a read model."""
        return (self.last.revision or 0) + 1 if self.last and not self.model else 0


def entity(
    line: Line, stream: str, *, at: int, pointer: str = "", projection: str = "",
    scaled: bool = False, tell: Tell | None = None,
) -> Entity:  # fmt: skip
    """Return an entity, or a read model, as of a position.

    raises   UnknownStream where the line never has it, UnknownProjection, BrokenCode
    projection  how its events become a state; merged without one
    tell     whether to go on folding; see state_at
    scaled   draw the history by time, rather than event beside event
    pointer  the JSON pointer whose history is drawn; the number that changed last without one
    """
    found = state_at(line, stream, at=at, projection=projection, marks=True, tell=tell)
    model = not beats.by_stream(line, projection)
    before = MISSING
    if found.last:
        before = state_at(line, stream, at=found.last - 1, projection=projection).state
    current = found.last if found.last == at else None
    drawn, complete = blamed.lines(value_of(found), found.marks, current=current, before=before)
    wanted = {line_.mark for line_ in drawn if line_.first and line_.mark} | {found.last}
    by_position = {o.position: o for o in outlines.at(line, wanted - {0})}
    last = by_position.get(found.last)
    cause = outlines.at(line, [last.cause]) if last and last.cause else []
    known = cast(line.system)
    previous, following = beats.beside(line, found, at, model=model)
    setters = {o.position: _setter(o, known, at, last) for o in by_position.values()}
    shown = Entity(
        stream=stream,
        state=found,
        lines=[(each, setters.get(each.mark or 0) if each.first else None) for each in drawn],
        all_lines=complete,
        tile=known.of(last.source if last else ""),
        last=last,
        cause=cause[0] if cause else None,
        changes=changes(before, found.state) if found.last else [],
        raw=raw(found.state),
        previous=previous,
        following=following,
        model=model,
        pointer=pointer or _telling(found),
    )
    _strip(line, shown, at, scaled)
    return shown


def value_of(found: State) -> Any:
    """Return a state to draw: null where there is none."""
    return None if found.state is MISSING else found.state


def raw(state: Any) -> str:
    """Return a state as indented JSON, cut off where it is very long."""
    text = msgspec.json.format(exact.encode(state), indent=2)[:200_000].decode("utf-8", "ignore")
    return visible_lines(text)


def visible_lines(text: str) -> str:
    """Return text with what cannot be seen written out, its lines kept."""
    return "\n".join(visible(row) for row in text.split("\n"))


def _setter(o: Outline, known: Any, at: int, last: Outline | None) -> Setter:
    age = "now" if o.position == at else duration(max(0, (last or o).time - o.time))
    if last and o.position == last.position and o.position != at:
        age = "last"
    title = f"Set by {visible(o.type)} at {place(o.position)}, {clock(o.time)[:8]} UTC"
    return Setter(o.position, visible(o.type), known.of(o.source), age, title)


def _telling(found: State) -> str:
    """Return the pointer of the number whose history says most: the one that changed last."""
    if not isinstance(found.state, dict) or not isinstance(found.marks, dict):
        return ""
    numbers = [
        (found.marks[name] if isinstance(found.marks[name], int) else 0, -n, name)
        for n, (name, value) in enumerate(found.state.items())
        if blamed.number(value) and name not in PLAIN
    ]
    if numbers:
        return "/" + exact.token(max(numbers)[2])
    words = [name for name in blamed.GIST if isinstance(found.state.get(name), str)]
    return "/" + exact.token(words[0]) if words else _deeper(found)


def _deeper(found: State) -> str:
    """Return the pointer of the number that changed last, however deep it lies."""
    leaves = islice(blame.leaves(found.marks), LEAVES)
    known = [(mark, path) for path, mark in leaves if blamed.number(exact.at(found.state, path))]
    return max(known)[1] if known else ""


def _short(name: str, stream: str) -> str:
    """Return a type without the category it begins with: Reserved for StockReserved of a stock."""
    category = stream.partition("-")[0]
    rest = name[len(category) :].lstrip(".-_")
    return rest if rest and name.lower().startswith(category.lower()) else name


def _strip(line: Line, shown: Entity, at: int, scaled: bool) -> None:
    by = shown.state.projection
    if shown.model:
        rows = beats.of_model(line, shown.stream, by, at, back=BACK, ahead=AHEAD)
    else:
        rows = beats.of_stream(line, shown.stream, at, back=BACK, ahead=AHEAD)
    if not rows:
        return
    steps = walk(
        line, shown.stream, after=rows[0].position - 1, upto=rows[-1].position, projection=by
    )
    values = {step.position: exact.at(step.state, shown.pointer) for step in steps}
    drawn, shown.zero = strips.points(
        [values.get(row.position, MISSING) for row in rows],
        [row.time for row in rows] if scaled else None,
    )
    if scaled:
        shown.times = clock(rows[0].time)[:8], clock(rows[-1].time)[:8]
    known = cast(line.system)
    shown.ink = known.of(rows[0].source).ink
    for row, point in zip(rows, drawn, strict=True):
        name = _short(visible(row.type), shown.stream)
        title = f"{name} at {place(row.position)}, {clock(row.time)[:8]} UTC"
        now, future = row.position == shown.state.last, row.position > at
        tile = known.of(row.source)
        shown.columns.append(Column(row.position, name, tile, point, now, future, title))
