"""A state as lines of text with who set each: what the State page draws, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from apps.pages.words import visible
from apps.projections import exact
from apps.projections.exact import MISSING

LINES = 600  # drawn at most
INLINE = 90  # characters of an object or list that stays on one line
TEXT = 300  # characters of a text that are shown
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass
class Piece:
    """A stretch of a line: k a key, p a sign, v-s a text, v-n a number, v-b true, false or null."""

    look: str
    text: str
    path: str = ""  # of a key: the JSON pointer of its value


@dataclass
class Line:
    """One line. `mark` is the position that set it, None for a bracket."""

    depth: int
    pieces: list[Piece] = field(default_factory=list)
    mark: int | None = None
    path: str = ""
    first: bool = False  # whether the line above was set by another event
    now: bool = False  # set by the event the playhead is at
    new: bool = False  # and was not there before


def lines(
    state: Any, marks: Any, *, current: int | None, before: Any = MISSING
) -> tuple[list[Line], bool]:
    """Return a state's lines, and whether that is all of them.

    current  position whose changes are shown as such, None for none
    before   the state before that event
    """
    drawn: list[Line] = []
    for line in _value(state, marks, "", 0, [], ""):
        if len(drawn) == LINES:
            return _grouped(drawn, current, before), False
        drawn.append(line)
    return _grouped(drawn, current, before), True


def _grouped(drawn: list[Line], current: int | None, before: Any) -> list[Line]:
    last: int | None = None
    for line in drawn:
        if line.mark is None:
            continue
        line.first = line.mark != last
        last = line.mark
        if current is not None and line.mark == current:
            line.now = True
            was = exact.at(before, line.path)
            line.new = was is MISSING
            if not line.new and not isinstance(was, dict | list):
                at = 2 if line.pieces[0].path else 0
                line.pieces[at].look += " b"
                line.pieces.insert(at, Piece("was", scalar(was).text))
    return drawn


def _value(
    value: Any, marks: Any, path: str, depth: int, lead: list[Piece], tail: str
) -> Iterator[Line]:
    whole = depth == 0 and isinstance(value, dict | list) and bool(value)
    inline = None if whole else _inline(value, marks)
    if inline is not None:
        pieces, mark = inline
        comma = [Piece("p", tail)] if tail else []
        yield Line(depth, [*lead, *pieces, *comma], mark, path)
        return
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    first = next(_marks(marks), None) if depth == 0 else None
    yield Line(depth, [*lead, Piece("p", opening)], first, path)
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for n, (name, each) in enumerate(inner):
        at = f"{path}/{exact.token(name)}"
        named = [] if isinstance(value, list) else [key(name, at), Piece("p", ": ")]
        ending = "," if n < len(inner) - 1 else ""
        yield from _value(each, marks[name], at, depth + 1, named, ending)
    yield Line(depth, [Piece("p", closing + tail)])


def key(name: str, path: str) -> Piece:
    """Return a key as it is drawn: bare where it is a plain word."""
    text = name if _PLAIN.fullmatch(name) else exact.encode(name).decode()
    return Piece("k", visible(text)[:TEXT], path)


def scalar(value: Any) -> Piece:
    """Return a scalar, or an empty object or list, as it is drawn."""
    text = exact.encode(value).decode()
    if isinstance(value, str):
        return Piece("v-s", visible(text if len(text) <= TEXT else text[:TEXT] + "…"))
    if isinstance(value, bool) or value is None:
        return Piece("v-b", text)
    if isinstance(value, dict | list):
        return Piece("p", text)
    return Piece("v-n", text[:TEXT].replace("-", "\u2212"))


def _inline(value: Any, marks: Any) -> tuple[list[Piece], int | None] | None:
    """Return a value that fits on one line and was set by one event; None for any other."""
    if not isinstance(marks, dict | list):
        return [scalar(value)], marks if marks is not MISSING else None
    values = value.values() if isinstance(value, dict) else value
    if any(isinstance(each, dict | list) for each in values) or len(value) > 12:
        return None
    setters = set(marks.values() if isinstance(marks, dict) else marks)
    if len(setters) != 1:
        return None
    pieces = _row(value)
    if sum(len(piece.text) for piece in pieces) > INLINE:
        return None
    return pieces, setters.pop()


def _row(value: Any) -> list[Piece]:
    pieces = [Piece("p", "{ " if isinstance(value, dict) else "[")]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for n, (name, each) in enumerate(items):
        if n:
            pieces.append(Piece("p", ", "))
        if isinstance(value, dict):
            pieces += [Piece("k", key(name, "").text), Piece("p", ": ")]
        pieces.append(scalar(each))
    return [*pieces, Piece("p", " }" if isinstance(value, dict) else "]")]


def _marks(marks: Any) -> Iterator[int]:
    if isinstance(marks, dict | list):
        for inner in marks.values() if isinstance(marks, dict) else marks:
            yield from _marks(inner)
    elif marks is not MISSING:
        yield marks


GIST = ("status", "state", "phase", "step", "stage", "name", "title")
AMOUNTS = ("available", "balance", "due", "total", "amount", "quantity", "qty", "count")


def gist(state: Any, field: str = "") -> tuple[str, bool]:
    """Return a state in a few words, and whether they look wrong: ("−1 available", True).

    field  what is asked for; said before all else where the state has it
    """
    if field and isinstance(state, dict) and number(state.get(field)):
        value = state[field]
        return f"{scalar(value).text[:24]} {visible(field[:20])}", value < 0
    if state is MISSING:
        return "not there", False
    if state is None:
        return "deleted", False
    if not isinstance(state, dict):
        return scalar(state).text[:40], False
    for name in GIST[:5]:
        if isinstance(state.get(name), str):
            return visible(state[name][:40]), False
    for name in (*AMOUNTS, *state):
        value = state.get(name)
        if value is not None and number(value):
            return f"{scalar(value).text[:24]} {visible(name[:20])}", value < 0
    for name in (*GIST, *state):
        if isinstance(state.get(name), str):
            return visible(state[name][:40]), False
    return f"{len(state)} fields", False


def amount(state: Any, field: str = "") -> Any:
    """Return the number a state is put in order by: that of a field, else the one `gist` says."""
    if not isinstance(state, dict):
        return state if number(state) and not field else None
    names = (field,) if field else (*AMOUNTS, *state)
    return next((state[name] for name in names if number(state.get(name))), None)


def number(value: Any) -> bool:
    """Return whether a value is a number."""
    return not isinstance(value, bool) and isinstance(value, int | float | Decimal)
