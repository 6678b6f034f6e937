"""The checks every string passes on its way into the log, and how foreign values become strings.

PostgreSQL's text cannot hold NUL, no encoding can write half a surrogate pair, and a b-tree
cannot index an id of a megabyte; so they are refused here, before any database can disagree.
"""

from __future__ import annotations

import re

import msgspec

from apps.eventlog.envelope import NAME_MAX
from apps.ingest.problems import Invalid, shown

METADATA_MAX = 65_536  # bytes of JSON
METADATA_DEPTH = 64
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
NO_TRACE = "0" * 32
_OPENINGS = re.compile(rb"[\[{]")


def checked(text: str, field: str) -> str:
    """Return `text` if it can be kept as a name; Invalid for NUL, half surrogates and length."""
    if "\0" in text:
        raise Invalid("bad_text", f"{field} holds NUL (U+0000), which a name cannot; remove it")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid(
            "bad_text", f"{field} holds half of a surrogate pair, which is no character; remove it"
        ) from None
    if size > NAME_MAX:
        raise Invalid(
            "name_too_long", f"{field} has {size} bytes of UTF-8; at most {NAME_MAX} are kept"
        )
    return text


def text_of(raw: bytes, field: str) -> str:
    """Return a JSON string as text, not yet checked; Invalid for another kind of value."""
    if not raw.startswith(b'"'):
        raise Invalid(
            "bad_attribute", f'{field} is {kind_of(raw)}; expected a string, such as "order-1"'
        )
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:  # well-formed, as it came out of a parser: so it must be this
        raise Invalid(
            "bad_text", f"{field} holds half of a surrogate pair, which is no character; remove it"
        ) from None


def scalar_of(raw: bytes, field: str) -> str:
    """Return a JSON string, number or boolean as text: CloudEvents' canonical string form."""
    if raw.startswith((b'"', b"{", b"[")):
        return text_of(raw, field)
    return raw.decode()


def kind_of(raw: bytes) -> str:
    """Return what kind of JSON value this is, for a message."""
    kinds = {
        b'"': "a string", b"{": "an object", b"[": "an array", b"t": "a boolean",
        b"f": "a boolean", b"n": "null",
    }  # fmt: skip
    return kinds.get(raw[:1], "a number")


def metadata(entries: dict[str, bytes], *, start: bytes = b"") -> bytes:
    """Return `entries` (name to JSON text) as one JSON object, after those of the object `start`.

    Values keep the digits they were written with; b"" stands for no entries. Every reader parses
    metadata, so what a parser cannot take is refused here: numbers out of range, half surrogates,
    deep nesting.
    """
    members = [msgspec.json.encode(name) + b":" + value for name, value in entries.items()]
    inner = start.strip()[1:-1].strip()
    if not members:
        return start if inner else b""
    joined = fitting(b"{" + b",".join([inner, *members] if inner else members) + b"}")
    for name, value in entries.items():
        parsed(value, f"attribute {shown(name)}")
    return joined


def fitting(joined: bytes) -> bytes:
    """Return metadata, Invalid where it is more than is kept."""
    if len(joined) > METADATA_MAX:
        raise Invalid(
            "metadata_too_big",
            f"the attributes beside data take {len(joined)} bytes; at most {METADATA_MAX} are kept."
            " Put what is large into data",
        )
    return joined


def parsed(value: bytes, field: str) -> object:
    """Return a JSON value parsed; Invalid where it is deeper or odder than metadata may be."""
    if len(_OPENINGS.findall(value)) > METADATA_DEPTH and depth_of(value) > METADATA_DEPTH:
        raise Invalid("bad_attribute", f"{field} is nested deeper than {METADATA_DEPTH} levels")
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("bad_attribute", f"{field} cannot be kept: {error}") from None


def depth_of(value: bytes) -> int:
    """Return how deep well-formed JSON is nested."""
    deepest = depth = 0
    for mark in re.sub(rb'"(?:[^"\\]++|\\.)*+"|[^\[\]{}]', b"", value):
        depth += 1 if mark in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def trace_of(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent, "" where it is none."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found and found[1] != NO_TRACE and traceparent[:2] != "ff" else ""
