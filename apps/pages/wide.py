"""Finding the elements of a JSON array or object that has too many to make an object for each.

A vectorised pass over the bytes, a piece at a time, so that memory stays small: which bytes lie
inside strings, how deep the rest is nested, and where the commas of the outermost level are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

PIECE = 1 << 20


class Slices(NamedTuple):
    """Some elements of a container, as the bytes between its commas, and how many it has."""

    elements: list[bytes]
    total: int


def slices(raw: bytes, *, offset: int, limit: int) -> Slices:
    """Return elements `offset` … `offset + limit` of the container in `raw`, which is valid JSON.

    raw  begins with its bracket and ends with the one that closes it
    """
    edges, commas = [0], 0
    quoted, depth, at = False, 0, 0
    while at < len(raw):
        end = _cut(raw, min(at + PIECE, len(raw)))
        piece = np.frombuffer(raw, np.uint8, end - at, at)
        inside = np.bitwise_xor.accumulate(_quotes(piece)) ^ quoted
        steps = _nesting(piece, inside)
        deep = np.cumsum(steps, dtype=np.int32) + depth
        found = np.flatnonzero((piece == 44) & (deep == 1) & ~inside)
        low, high = max(0, offset - 1 - commas), offset + limit - commas
        edges += (found[low : max(0, high)] + at).tolist()
        commas += len(found)
        quoted, depth, at = bool(inside[-1]), int(deep[-1]), end
    if offset:
        edges = edges[1:]
    if commas < offset + limit:
        edges.append(len(raw) - 1)
    elements = [raw[a + 1 : b].strip() for a, b in pairwise(edges)]
    empty = not commas and not raw[1:-1].strip()
    return Slices([] if empty else elements[:limit], 0 if empty else commas + 1)


def _cut(raw: bytes, end: int) -> int:
    """Return `end` or a little later: a piece never ends within a run of backslashes."""
    while 0 < end < len(raw) and raw[end - 1] == 92:
        end += 1
    return end


def _quotes(piece: Any) -> Any:
    """Return which bytes are quotes that begin or end a string."""
    quotes = piece == 34
    slashes = piece == 92
    if not slashes.any():
        return quotes
    index = np.arange(len(piece), dtype=np.int32)
    before = np.maximum.accumulate(np.where(slashes, np.int32(-1), index))
    at = np.flatnonzero(quotes)
    at = at[at > 0]
    quotes[at[(at - 1 - before[at - 1]) % 2 == 1]] = False
    return quotes


def _nesting(piece: Any, inside: Any) -> Any:
    steps = np.zeros(len(piece), np.int8)
    steps[(piece == 123) | (piece == 91)] = 1
    steps[(piece == 125) | (piece == 93)] = -1
    steps[inside] = 0
    return steps
