"""JSON objects and arrays taken apart into the bytes their values were written in.

msgspec first, the slow scanner for what it will not take (see jsonscan.py). Everything here wants
valid UTF-8: `utf8` says so or says where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from apps.ingest import jsonscan
from apps.ingest.names import kind_of, text_of
from apps.ingest.problems import Invalid, shown

ATTRIBUTES = 1000  # most members of one event
T = TypeVar("T")

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_array = msgspec.json.Decoder(list[Raw]).decode


def utf8(raw: bytes | Raw) -> None:
    """Raise Invalid, naming the byte, unless `raw` is valid UTF-8."""
    try:
        str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("invalid_utf8", f"invalid UTF-8 (byte {error.start})") from None


def members_of(raw: bytes) -> dict[str, bytes]:
    """Return an object's members, each value as it was written; the last of equal names counts.

    raises  Invalid for what is not a JSON object, or has too many members
    """
    utf8(raw)
    if jsonscan.more_than(raw, ATTRIBUTES):
        raise Invalid("too_many_attributes", f"an event has at most {ATTRIBUTES} attributes")
    try:
        return {name: bytes(value) for name, value in _object(raw).items()}
    except msgspec.ValidationError:
        raise _not("an_event", "a JSON object", raw) from None
    except (msgspec.DecodeError, RecursionError) as error:
        pairs = _again(jsonscan.members, raw, error)
    if pairs is None:
        raise _not("an_event", "a JSON object", raw)
    return {text_of(name, f"the name {shown(name.decode())}"): value for name, value in pairs}


def elements_of(raw: bytes) -> Sequence[bytes | Raw]:
    """Return an array's values as they were written, valid UTF-8 or not.

    raises  Invalid for what is not a JSON array
    """
    try:
        return _array(raw)
    except msgspec.ValidationError:
        raise _not("an_array", "a JSON array", raw) from None
    except (msgspec.DecodeError, RecursionError) as error:
        found = _again(jsonscan.elements, raw, error)
    if found is None:
        raise _not("an_array", "a JSON array", raw)
    return found


def _again(read: Callable[[bytes], T], raw: bytes, error: Exception) -> T:
    """Read once more what msgspec gave up on, if that can have been for our reasons."""
    if not isinstance(error, RecursionError) and not jsonscan.LONE.search(raw):
        raise Invalid("invalid_json", _reason(raw, str(error)))
    try:
        return read(raw)
    except jsonscan.Malformed as malformed:
        raise Invalid("invalid_json", str(malformed)) from None
    except jsonscan.TooComplex as too_much:
        raise Invalid("too_deep", str(too_much)) from None


def _reason(raw: bytes, error: str) -> str:
    if error == "Input data was truncated":
        return f"JSON ends too early (byte {len(raw)})"
    return error


def _not(code: str, expected: str, raw: bytes) -> Invalid:
    return Invalid(f"not_{code}", f"expected {expected}, not {kind_of(raw.lstrip()[:1])}")
