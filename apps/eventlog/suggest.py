"""What could be typed next in a query: names of fields, then values with their counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.eventlog.query import CHOICES
from apps.eventlog.terms import FIELDS, written

MOST = 20
Vocabulary = Mapping[str, Sequence[tuple[str, int]]]  # field -> values with counts, as facets are

_HEAD = re.compile(r'(-?)([^\s"*,:=<>~!]+)(>=|<=|!=|[:=~<>])')
_NAME_END = re.compile(r'[\s":=<>~!,]|\Z')


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One completion: `text` to insert, `help` says what it is, `count` how many events have it."""

    text: str
    help: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Completions for the part of the text from `start` to `end`, best first, at most 20."""

    start: int
    end: int
    items: tuple[Suggestion, ...] = ()


def suggest(text: str, cursor: int, vocabulary: Vocabulary) -> Suggestions:
    """Return what may stand at `cursor` in a query, whatever state its text is in; never raises.

    vocabulary  values with counts by field name; names with a dot, like data.total, are offered
                as fields too
    """
    cursor = max(0, min(cursor, len(text)))
    start = _term_start(text, cursor)
    head = _HEAD.match(text, start, cursor)
    if head:
        return _values(text, head.end(), cursor, vocabulary.get(head[2], ()), head[2])
    start += text[start:cursor].startswith("-")
    if '"' in text[start:cursor]:
        return Suggestions(cursor, cursor)
    end = _NAME_END.search(text, cursor)
    assert end, "the pattern matches at the end of any text"
    return Suggestions(start, end.start(), tuple(_names(text[start:cursor], vocabulary))[:MOST])


def _names(typed: str, vocabulary: Vocabulary) -> Iterator[Suggestion]:
    low = typed.lower()
    for name, field in FIELDS.items():
        if name.startswith(low):
            yield Suggestion(f"{name}." if field.sort == "json" else f"{name}:", field.help)
    for name in vocabulary:
        if "." in name and name.lower().startswith(low):
            yield Suggestion(f"{name}:", "value inside the event")


def _values(
    text: str, start: int, cursor: int, known: Sequence[tuple[str, int]], name: str
) -> Suggestions:
    start = _part_start(text, start, cursor)
    end = _part_end(text, start, cursor)
    typed = text[start:cursor].strip('"').casefold()
    options = [*known, *((c, None) for c in CHOICES.get(name, ()) if c not in dict(known))]
    begins = [o for o in options if o[0].casefold().startswith(typed)]
    holds = [o for o in options if typed in o[0].casefold() and o not in begins]
    items = [Suggestion(written(value), "", count) for value, count in (begins + holds)[:MOST]]
    return Suggestions(start, end, tuple(items))


def _term_start(text: str, cursor: int) -> int:
    return max((at + 1 for at in _outside(text, 0, cursor) if text[at].isspace()), default=0)


def _part_start(text: str, start: int, cursor: int) -> int:
    return max((at + 1 for at in _outside(text, start, cursor) if text[at] == ","), default=start)


def _part_end(text: str, start: int, cursor: int) -> int:
    stops = (at for at in _outside(text, start, len(text)) if text[at] == "," or text[at].isspace())
    end = next((at for at in stops if at >= cursor), len(text))
    if text.count('"', start, end) % 2:  # the quote is not closed yet
        end = next((at for at in range(cursor, end) if text[at].isspace()), end)
    return end


def _outside(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the indexes that are not in quotes."""
    inside = escaped = False
    for at in range(start, end):
        if text[at] == '"' and not escaped:
            inside = not inside
        elif not inside:
            yield at
        escaped = inside and text[at] == "\\" and not escaped
