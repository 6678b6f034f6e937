"""What a rule of a flow is: something begun must end, one way or another, within a time."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

UNITS = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
LONGEST = 365 * UNITS["d"]
TYPES = 20  # that may end one flow
NAME = 1024  # characters of a type
BY = ("correlation", "stream")
_TIME = re.compile(r"\s*([0-9]{1,6})\s*([a-z]{1,3})\s*")


class BadFlow(Exception):
    """A rule that cannot be; the message says why."""


class Rule(NamedTuple):
    """Once `begins`, one of `ends` of the same correlation or stream must follow `within` µs."""

    begins: str
    ends: tuple[str, ...]
    within: int
    by: str = "correlation"

    @property
    def digest(self) -> str:
        """What two rules have in common that are the same but for their time."""
        parts = "\0".join((self.by, self.begins, *sorted(self.ends)))
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()


def rule(begins: str, ends: list[str], within: str, by: str = "correlation") -> Rule:
    """Return a rule as a person wrote it.  raises  BadFlow"""
    first, last = begins.strip(), tuple(dict.fromkeys(e.strip() for e in ends if e.strip()))
    if not first or not last:
        raise BadFlow("Say what begins the flow, and at least one type that ends it.")
    if len(last) > TYPES or any(len(name) > NAME for name in (first, *last)):
        raise BadFlow(f"At most {TYPES} types end a flow, of {NAME} characters each.")
    if "\0" in first + "".join(last):
        raise BadFlow("A type holds no NUL.")
    if first in last:
        raise BadFlow("What begins a flow cannot end it, too.")
    if by not in BY:
        raise BadFlow(f"A flow goes by one of {', '.join(BY)}.")
    return Rule(first, last, duration(within), by)


def duration(text: str) -> int:
    """Return µs of a text such as "30 s" or "10 min".  raises  BadFlow"""
    found = _TIME.fullmatch(text)
    unit = UNITS.get(found[2]) if found else None
    if not found or unit is None or not 0 < int(found[1]) * unit <= LONGEST:
        raise BadFlow("Within how long? A number and s, min, h or d, such as 30 s; at most 365 d.")
    return int(found[1]) * unit


def written(us: int) -> str:
    """Return a time as `duration` reads it, in the largest unit that says it exactly."""
    unit = next(name for name in reversed(UNITS) if us % UNITS[name] == 0)
    return f"{us // UNITS[unit]} {unit}"
