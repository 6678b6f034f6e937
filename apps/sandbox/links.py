"""What each entry of a sandbox stands for, packed: one signed number of 64 bits for each.

The recorded position, or 0 for what only the sandbox has, over three bits that say where what
differs about it comes from.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import NamedTuple

DESCENDS, DIFFERS, ORPHAN = 1, 2, 4


class Link(NamedTuple):
    """`original` is the recorded position, None for a new entry."""

    original: int | None
    descends: bool
    differs: bool
    orphan: bool


def packed(links: Iterable[Link]) -> bytes:
    """Return links as bytes."""
    numbers = array("q", (
        (link.original or 0) << 3 | link.descends * DESCENDS | link.differs * DIFFERS
        | link.orphan * ORPHAN
        for link in links
    ))  # fmt: skip
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


class Tally(NamedTuple):
    """How many entries stand for recorded ones, how many of these differ, and how many are new."""

    replayed: int
    changed: int
    new: int


def tally(raw: bytes) -> Tally:
    """Return the numbers of the links in bytes."""
    numbers = array("q")
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    new = sum(n < 8 for n in numbers)
    return Tally(len(numbers) - new, sum(n & DIFFERS > 0 and n >= 8 for n in numbers), new)


def unpacked(raw: bytes) -> list[Link]:
    """Return the links in bytes."""
    numbers = array("q")
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return [
        Link(n >> 3 or None, bool(n & DESCENDS), bool(n & DIFFERS), bool(n & ORPHAN))
        for n in numbers
    ]
