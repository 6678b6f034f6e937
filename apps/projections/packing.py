"""A state and its marks as bytes to store."""

from __future__ import annotations

import zlib
from array import array
from typing import Any

from apps.projections import blame, exact

LEVEL = 1  # of compression: the higher ones gain little here and cost three times as much


def pack(state: Any, marks: blame.Marks) -> tuple[bytes, bytes, int]:
    """Return (state, marks, bytes of the state as JSON), the first two compressed."""
    raw = exact.encode(state)
    positions = array("q", blame.row(state, marks))
    return zlib.compress(raw, LEVEL), zlib.compress(positions.tobytes(), LEVEL), len(raw)


def unpack_state(stored: bytes) -> tuple[Any, int]:
    """Return a stored state, and its bytes as JSON."""
    raw = zlib.decompress(stored)
    return exact.decode(raw), len(raw)


def unpack_marks(state: Any, stored: bytes) -> blame.Marks:
    """Return the stored marks of a state."""
    positions = array("q")
    positions.frombytes(zlib.decompress(stored))
    return blame.unrow(state, iter(positions))
