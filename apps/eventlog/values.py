"""Tests of one text or one JSON value, as a query's operators and values ask for them.

Numbers are exact and compare as numbers (1 is 1.0), never with text ("1" is not 1). `=` and `!=`
take a bare 100, true or null for the JSON value; `:` also for the text that reads so. Names are
compared as they are, `~` without regard to case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from apps.eventlog.envelope import is_json
from apps.eventlog.terms import Value, decimal

MISSING = object()
LIST_LIMIT = 100_000  # values a path with `*` in it may lead to


_is_json = lru_cache(maxsize=1024)(is_json)
_decoder = msgspec.json.Decoder(float_hook=decimal)


def decode(data: bytes | None, content_type: str) -> Any:
    """Return data as a JSON value with exact numbers, as text where it is not JSON, or MISSING."""
    if not data:
        return MISSING
    if _is_json(content_type):
        try:
            return _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    return data.decode("utf-8", "replace")


def text_test(operator: str, values: tuple[Value, ...]) -> Callable[[str], bool]:
    """Return a test of a text; "" is a text like any other, but a `*` alone asks for more."""
    if operator == "~":
        return lambda text: any(contains(text.casefold(), value) for value in values)
    exact = frozenset(v.parts[0] for v in values if len(v.parts) == 1)
    patterns = [v.parts for v in values if len(v.parts) > 1]

    def among(text: str) -> bool:
        return text in exact or any(like(text, parts) for parts in patterns)

    return (lambda text: not among(text)) if operator == "!=" else among


def service_test(operator: str, values: tuple[Value, ...]) -> Callable[[str], bool]:
    """Return a test of a service's name: `web` means the source `/web` as well as `web`."""
    if operator == "!=":
        among = service_test(":", values)
        return lambda source: not among(source)
    test = text_test(operator, values)
    return lambda source: test(source) or test(source.removeprefix("/"))


def like(text: str, parts: tuple[str, ...]) -> bool:
    """Return whether `text` is the parts in order with anything between; "" is not like `*`."""
    if not text and not any(parts):
        return False
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    return _in_order(text, middle, len(first), len(text) - len(last))


def contains(folded: str, value: Value) -> bool:
    """Return whether a case-folded text contains the parts of a value, in order."""
    return _in_order(folded, [part.casefold() for part in value.parts], 0, len(folded))


def _in_order(text: str, parts: Iterable[str], start: int, end: int) -> bool:
    # The leftmost place is always good enough: no part can gain from an earlier one moving right.
    for part in parts:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def follow(value: Any, path: tuple[str | None, ...]) -> Any:
    """Return what a path without `*` leads to in a JSON value, or MISSING."""
    for step in path:
        assert step is not None, "several values: at_path"
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, list):
            value = _element(value, step)
        else:
            return MISSING
    return value


def _element(value: list[Any], step: str) -> Any:
    index = step.isdecimal() and step.isascii() and len(step) < 10
    return value[int(step)] if index and int(step) < len(value) else MISSING


def at_path(root: Any, path: tuple[str | None, ...]) -> list[Any]:
    """Return all that a path leads to in a JSON value: `*` is any key or element."""
    found = [] if root is MISSING else [root]
    for step in path:
        if step is None:
            found = [inner for value in found for inner in _inside(value)][:LIST_LIMIT]
        else:
            found = [v for v in (follow(value, (step,)) for value in found) if v is not MISSING]
    return found


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def json_test(operator: str, values: tuple[Value, ...]) -> Callable[[Any], bool]:
    """Return a test of a JSON value."""
    if operator in COMPARE:
        right, compare = values[0].scalar(), COMPARE[operator]
        return lambda found: ordered(found, right, compare)
    if operator == "~":
        return lambda found: any(holds_text(found, value) for value in values)
    scalars = [v.scalar() for v in values if v.literal is not None]
    if operator == ":":  # a bare 1042 is also the text "1042"
        scalars += [v.parts[0] for v in values if v.literal is not None and v.bare]
    patterns = [v.parts for v in values if v.literal is None]

    def among(found: Any) -> bool:
        if any(equal(found, scalar) for scalar in scalars):
            return True
        return any(
            not any(parts) or (isinstance(found, str) and like(found, parts)) for parts in patterns
        )

    return (lambda found: not among(found)) if operator == "!=" else among


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def _numeric(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Return whether two JSON scalars are equal: numbers by value, else of one type."""
    if _numeric(left) and _numeric(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def ordered(left: Any, right: Any, compare: Callable[[Any, Any], bool]) -> bool:
    """Return a comparison of two numbers or two texts; anything else has no order."""
    if _numeric(left) and _numeric(right):
        return compare(left, right)
    return isinstance(left, str) and isinstance(right, str) and compare(left, right)


def texts(value: Any) -> Iterator[str]:
    """Yield every key and scalar of a JSON value as text."""
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            rest += found.values()
            yield from found
        elif isinstance(found, list):
            rest += found
        elif found is not MISSING:
            yield (
                {True: "true", False: "false", None: "null"}[found]
                if (found is None or isinstance(found, bool))
                else str(found)
            )


def holds_text(found: Any, value: Value) -> bool:
    """Return whether any key or scalar in a JSON value contains a value's text."""
    return any(contains(text.casefold(), value) for text in texts(found))


class Finder:
    """Looks for a value's text in many places, in any case."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self._folded = [part.casefold() for part in value.parts]
        self._raw = [part.encode() for part in self._folded]
        self._ascii = all(part.isascii() for part in self._folded)

    def in_texts(self, texts: Iterable[str]) -> bool:
        """Return whether one of several texts contains it."""
        if len(self._folded) == 1:  # it spans no two of them: no name holds a NUL
            return self._folded[0] in "\0".join(texts).casefold()
        return any(contains(text.casefold(), self.value) for text in texts)

    def in_bytes(self, raw: bytes) -> bool | None:
        """Return whether raw data contains it; None where only parsing it can say."""
        if self._ascii and _in_order_bytes(raw.lower(), self._raw):
            return True
        if not raw.isascii() and contains(raw.decode("utf-8", "replace").casefold(), self.value):
            return True
        return None if b"\\" in raw else False


def _in_order_bytes(raw: bytes, needles: Iterable[bytes]) -> bool:
    start = 0
    for needle in needles:
        found = raw.find(needle, start)
        if found < 0:
            return False
        start = found + len(needle)
    return True
