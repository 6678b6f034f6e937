"""What Kafka's share coordinator writes down of share groups, in a topic of its own.

The delivery of each record that is given out, and not only how far a group is: what was settled,
given back or given up, and at which attempt. A snapshot of a partition holds all that is open, an
update what changed since.
"""

from __future__ import annotations

from base64 import b64encode
from struct import error, unpack_from
from typing import NamedTuple

TOPIC = "__share_group_state"
SNAPSHOT, UPDATE = 0, 1
AVAILABLE, ACQUIRED, ACKNOWLEDGED, ARCHIVED = 0, 1, 2, 4
RANGES = 100_000  # in one record; more is nothing a broker writes


class Key(NamedTuple):
    """Whose state it is."""

    kind: int
    group: str
    topic: str  # its id, as the broker shows it
    partition: int


class Range(NamedTuple):
    """Records that are in one state. `attempts` counts how often they were given out."""

    first: int
    last: int
    state: int
    attempts: int


class State(NamedTuple):
    """What a record of the topic says. Everything before `start` is over; -1 is not known yet."""

    start: int
    ranges: tuple[Range, ...]


def key(data: bytes | None) -> Key | None:
    """Return what a record's key says, None for what we do not know."""
    try:
        kind, size = unpack_from(">hh", data or b"")
        group, at = (data or b"")[4 : 4 + size], 4 + size
        topic, partition = unpack_from(">16si", data or b"", at)
    except error:
        return None
    if kind not in (SNAPSHOT, UPDATE):
        return None
    name = b64encode(topic).decode().rstrip("=")
    return Key(kind, group.decode("utf-8", "backslashreplace"), name, partition)


def state(kind: int, data: bytes) -> State | None:
    """Return what a record says, None where it is of a version we do not know."""
    try:
        (version,) = unpack_from(">h", data)
        if version != 0:
            return None
        # Epochs come first, and in a snapshot two times behind the start.
        at = 14 if kind == SNAPSHOT else 10
        (start,) = unpack_from(">q", data, at)
        count, at = _number(data, at + (24 if kind == SNAPSHOT else 8))
        ranges = []
        for _ in range(min(count - 1, RANGES)):
            ranges.append(Range(*unpack_from(">qqbh", data, at)))
            at = _after_tags(data, at + 19)
    except (error, IndexError):
        return None
    return State(start, tuple(ranges)) if at <= len(data) else None


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned varint and where it ends."""
    found = shift = 0
    while True:
        byte = data[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return found, at


def _after_tags(data: bytes, at: int) -> int:
    count, at = _number(data, at)
    for _ in range(count):
        _, at = _number(data, at)
        size, at = _number(data, at)
        at += size
    return at
