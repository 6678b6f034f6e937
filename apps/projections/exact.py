"""JSON values as states hold them: integers and fractions exact, bounded in depth and size."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from apps.eventlog.envelope import Undecodable, is_json
from apps.eventlog.terms import decimal

DEPTH = 200  # levels of nesting a state may have
SIZE = 16 * 1024 * 1024  # bytes of JSON a state may have


class Missing:
    """The one value that stands for no value, which JSON's null does not."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


def fraction(text: str) -> Decimal:
    """Return a fraction with its digits; ValueError for one out of range."""
    number = decimal(text)
    if not number.is_finite():
        raise ValueError(f"the number {text[:40]} is out of range")
    # 1.0e1 would be written as 10 and read back as a whole number; 10.0 stays a fraction.
    return Decimal(f"{number}.0") if number.as_tuple().exponent == 0 else number


_decoder = msgspec.json.Decoder(float_hook=fraction)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(data: bytes, content_type: str = "application/json") -> Any:
    """Return the JSON value in `data` with exact numbers; MISSING for no data.

    raises  Undecodable for what is not JSON, and for what is nested deeper than DEPTH
    """
    if not data:
        return MISSING
    if content_type != "application/json" and not is_json(content_type):
        raise Undecodable(f"its content type {content_type!r} is not JSON")
    try:
        value = _decoder.decode(data)
    except (ValueError, RecursionError) as error:  # those of msgspec among them
        raise Undecodable(str(error) or "nested too deeply") from error
    deep = len(data) > 2 * DEPTH and data.count(b"{") + data.count(b"[") > DEPTH
    if deep and depth(value) > DEPTH:
        raise Undecodable(f"it is nested more than {DEPTH} levels deep")
    return value


def encode(value: Any) -> bytes:
    """Return a state as JSON; MISSING is null.

    raises  TypeError, ValueError or RecursionError for what JSON cannot hold
    """
    return _encoder.encode(None if value is MISSING else value)


def depth(value: Any) -> int:
    """Return how deep a JSON value is nested: 0 for a scalar, 1 for [] and {}."""
    deepest, layer = 0, [value]
    while layer := [v for v in layer if type(v) is dict or type(v) is list]:
        deepest += 1
        inner: list[Any] = []
        for each in layer:
            inner += each.values() if type(each) is dict else each
        layer = inner
    return deepest


def same(a: Any, b: Any) -> bool:
    """Return whether two JSON values are equal, with 1, 1.0, true and "1" four different values."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is dict:
        return len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
    if kind is list:
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def pointer(path: tuple[str | int, ...]) -> str:
    """Return a path as a JSON pointer (RFC 6901): ("a/b", 0) is "/a~1b/0"."""
    return "".join(f"/{token(part)}" for part in path)


def token(part: str | int) -> str:
    """Return one step of a JSON pointer, escaped."""
    return str(part).replace("~", "~0").replace("/", "~1")


def at(value: Any, path: str) -> Any:
    """Return what a JSON pointer leads to, MISSING where that is nothing.

    raises  ValueError for a text that is no pointer
    """
    if path and not path.startswith("/"):
        raise ValueError(f"{path[:80]!r} is no JSON pointer: it begins with '/', as in /a/b.")
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if type(value) is dict:
            value = value.get(key, MISSING)
        elif type(value) is list and key.isascii() and key.isdecimal() and len(key) < 10:
            value = value[int(key)] if int(key) < len(value) else MISSING
        else:
            return MISSING
    return value


ID_FIELDS = ("id", "key")


def id_field(*lists: list[Any]) -> str | None:
    """Return the field that tells the elements of all these lists apart, None where none does."""
    for name in ID_FIELDS:
        if all(_told_apart(elements, name) for elements in lists):
            return name
    return None


def _told_apart(elements: list[Any], name: str) -> bool:
    seen = set()
    for element in elements:
        value = element.get(name) if type(element) is dict else None
        if type(value) is not str and type(value) is not int:
            return False
        seen.add(value)
    return len(seen) == len(elements)
