"""A second reading of JSON, for what the fast parser will not take although it is JSON.

msgspec reads nearly everything and is strict, but it gives up on nesting beyond the interpreter's
recursion limit and on lone surrogates, both of which are legal JSON that a producer may really
have sent. This scanner keeps its stack in a bytearray, checks the grammar (RFC 8259) and returns
the outermost values as the bytes they were written in.
"""

from __future__ import annotations

import re

import numpy as np

TOKENS = 2_000_000  # about a second; beyond it a text is refused as too complex
BLOCK = 1 << 20

# Possessive (`++`, `*+`): a string without an end must not be tried in every other way.
_TOKEN = re.compile(
    rb"[ \t\n\r]*+(?:"
    rb"([{}\[\],:])"
    rb'|("(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
    rb"|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
    rb"|(\Z))"
)
_AFTER_SPACE = re.compile(rb"[ \t\n\r]*+")
_ESCAPE = re.compile(rb"\\[\s\S]")
LONE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a pair, or a whole one: worth a second reading

_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA, _END = range(7)


class Malformed(ValueError):
    """The text is not JSON; `at` is the byte where that shows."""

    def __init__(self, at: int) -> None:
        super().__init__(f"JSON is malformed (byte {at})")
        self.at = at


class TooComplex(ValueError):
    """The text has more tokens than are read this slow way."""


def elements(text: bytes) -> list[bytes] | None:
    """Return the values of an array as written; None where the text is something else.

    raises  Malformed, TooComplex
    """
    opener, spans = _scan(text)
    return [text[start:end] for _, start, end in spans] if opener == b"[" else None


def members(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return an object's (name with its quotes, value) pairs as written; None for other JSON.

    raises  Malformed, TooComplex
    """
    opener, spans = _scan(text)
    return [(key, text[start:end]) for key, start, end in spans] if opener == b"{" else None


def _scan(text: bytes) -> tuple[bytes, list[tuple[bytes, int, int]]]:
    """Return the first token and the spans of the outermost values, each with its name or b""."""
    stack, spans = bytearray(), []
    expected, position, opener, key, start = _VALUE, 0, b"", b"", 0
    for _ in range(TOKENS):
        found = _TOKEN.match(text, position)
        if found is None:
            raise Malformed(_AFTER_SPACE.match(text, position).end())  # type: ignore[union-attr]
        position, which = found.end(), found.lastindex or 0
        begin = found.start(which)
        first = text[begin : begin + 1]
        opener = opener or first
        expected, opened = _step(expected, first, which, stack, begin)
        depth = len(stack)
        if depth == 1 and which == 2 and expected == _COLON:
            key = found[2]
        elif (opened or which in (2, 3)) and depth == 1 + opened:
            start = begin
        if depth == 1 and expected == _COMMA:  # a value of the outermost one has just ended
            spans.append((key, start, position))
        if which == 4:
            return opener, spans
    raise TooComplex(f"JSON of more than {TOKENS} tokens")


def _step(expected: int, first: bytes, which: int, stack: bytearray, at: int) -> tuple[int, bool]:
    """Return what may follow a token, and whether it opened something. Mutates the stack."""
    if which == 2 and expected in (_KEY, _KEY_OR_END):
        return _COLON, False
    if expected in (_VALUE, _VALUE_OR_END):
        if which in (2, 3):
            return (_COMMA if stack else _END), False
        if first == b"{":
            stack += b"{"
            return _KEY_OR_END, True
        if first == b"[":
            stack += b"["
            return _VALUE_OR_END, True
    if which == 1:
        inside = stack[-1:]
        if first == b":" and expected == _COLON:
            return _VALUE, False
        if first == b"," and expected == _COMMA:
            return (_KEY if inside == b"{" else _VALUE), False
        closes = (first == b"}" and inside == b"{" and expected in (_COMMA, _KEY_OR_END)) or (
            first == b"]" and inside == b"[" and expected in (_COMMA, _VALUE_OR_END)
        )
        if closes:
            stack.pop()
            return (_COMMA if stack else _END), False
    if which == 4 and expected == _END:
        return _END, False
    raise Malformed(at)


def more_than(text: bytes, limit: int) -> bool:
    """Return whether the outermost array or object has more than `limit` values.

    For text that would take many times its size in memory once parsed: reads a block at a time,
    stops as soon as it knows, and never raises; malformed text yields some answer.
    """
    if text.count(b",") < limit:
        return False
    depth, items, inside, tail = 0, 1, False, b""
    for at in range(0, len(text), BLOCK):
        block = _ESCAPE.sub(b"", tail + text[at : at + BLOCK])
        tail = b"\\" if block.endswith(b"\\") else b""
        marks = np.frombuffer(block, np.uint8)
        quoted = (np.cumsum(marks == 34) + inside) & 1
        inside = bool(quoted[-1]) if len(quoted) else inside
        outside = quoted == 0
        opens = ((marks == 91) | (marks == 123)) & outside
        closes = ((marks == 93) | (marks == 125)) & outside
        level = depth + np.cumsum(opens.astype(np.int32) - closes.astype(np.int32))
        items += int(np.count_nonzero((marks == 44) & outside & (level == 1)))
        depth = int(level[-1]) if len(level) else depth
        if items > limit:
            return True
    return False
