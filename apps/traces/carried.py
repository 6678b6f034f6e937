"""Deliveries and spans stand between an event and what was caused by way of them.

Those of one group are joined: what one of them caused, all of them caused. So a batch of messages
that is handled at once has several causes, and so has a span with links.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from apps.eventlog.outline import Outline

LINK = "link"  # type of a span that only leads to a further cause
MOST = 10_000  # members of groups looked at for one event


class _Joined(msgspec.Struct):
    joined: str = ""


_decode = msgspec.json.Decoder(_Joined).decode


def group_of(outline: Outline) -> str:
    """Return the group a delivery or span is joined in, "" for none."""
    if not outline.data or b'"joined"' not in outline.data:
        return ""
    try:
        return _decode(outline.data).joined
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


class Carried:
    """The deliveries and spans of a trace, and the way up through them."""

    def __init__(self, carriers: Mapping[int, Outline], events: Collection[int]) -> None:
        self.carriers, self._events = carriers, events
        self._top: dict[int, int | None] = {}
        self.joined: dict[int, list[int]] = {}  # position -> members of its group, itself first
        groups: dict[str, list[int]] = {}
        for position, outline in carriers.items():
            if name := group_of(outline):
                groups.setdefault(name, []).append(position)
        for members in groups.values():
            for one in members:
                self.joined[one] = [one, *(m for m in members if m != one)]

    def sources(self, start: int) -> list[int]:
        """Return the events a delivery or span descends from, that of its own cause first."""
        found: dict[int, None] = {}
        seen: set[int] = set()
        stack = [start]
        while stack and len(seen) < MOST:
            top = self._up(stack.pop())
            if top is None or top in seen:
                continue
            seen.add(top)
            if top in self._events:
                found[top] = None
                continue
            members = self.joined[top]
            seen.update(members)
            causes = (self.carriers[m].cause for m in members)
            stack += reversed([c for c in causes if c is not None])
        return list(found)

    def _up(self, start: int) -> int | None:
        """Return the first event, or member of a group, from `start` upwards; None without one."""
        way: list[int] = []
        here: int | None = start
        while here is not None and here not in self._events and here not in self.joined:
            if here in self._top:
                here = self._top[here]
                break
            carrier = self.carriers.get(here)
            if carrier is None:
                here = None
                break
            self._top[here] = None  # of a circle
            way.append(here)
            here = carrier.cause
        self._top |= dict.fromkeys(way, here)
        return here


def groups(outlines: Iterable[Outline]) -> set[str]:
    """Return the groups that some deliveries and spans are joined in."""
    return {name for o in outlines if o.data and (name := group_of(o))}
