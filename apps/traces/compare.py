"""One trace beside what is usual, or beside another trace, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from apps.traces.deliveries import service
from apps.traces.timing import Step
from apps.traces.tree import Tree
from apps.traces.typical import Follow, Typical

MOST = 300  # steps

Name = tuple[str, str, str]  # cause's type, service, type


class Line(NamedTuple):
    """A step of either side. Gaps are microseconds, one per time the step was made."""

    cause: str
    service: str
    effect: str
    here: list[int]
    there: list[int]
    usual: Follow | None
    verdict: str  # same, slower, faster, missing, new, repeated


def compare(
    tree: Tree, steps: Mapping[int, Step], *, usual: Typical | None,
    other: tuple[Tree, Mapping[int, Step]] | None = None,
) -> list[Line]:  # fmt: skip
    """Return the steps of a trace beside another trace, or beside the usual one."""
    here = gaps(tree, steps)
    there = gaps(*other) if other is not None else {}
    names = dict.fromkeys([*here, *there])
    follows = usual.follows if usual is not None else {}
    if other is None:
        names |= dict.fromkeys(name for name, f in follows.items() if f.share >= 0.5)
    made = []
    for name in list(names)[:MOST]:
        ours, theirs, follow = here.get(name, []), there.get(name, []), follows.get(name)
        told = _against(ours, theirs) if other is not None else _beside(ours, follow, here, name)
        if told:
            made.append(Line(*name, ours, theirs, follow, told))
    return made


def gaps(tree: Tree, steps: Mapping[int, Step]) -> dict[Name, list[int]]:
    """Return how long each step took, in order of the log."""
    found: dict[Name, list[int]] = {}
    for position in tree.order:
        event, cause = tree.events[position], tree.parent.get(position)
        if cause is not None and event.kind != "response":
            name = (tree.events[cause].type, service(event.source), event.type)
            found.setdefault(name, []).append(steps[position].gap)
    return found


def _against(ours: list[int], theirs: list[int]) -> str:
    if not ours or not theirs:
        return "new" if ours else "missing"
    if len(ours) != len(theirs):
        return "repeated" if len(ours) > len(theirs) else "fewer"
    return _speed(max(ours), max(theirs), max(theirs))


def _beside(
    ours: list[int], usual: Follow | None, here: Mapping[Name, list[int]], name: Name
) -> str:
    if usual is None:
        return "new"
    if not ours:
        caused = any(each[0] == name[0] or each[2] == name[0] for each in here)
        return "missing" if caused else ""
    if len(ours) > 1:
        return "repeated"
    return _speed(ours[0], usual.p50, usual.p99)


def _speed(gap: int, usual: int, most: int) -> str:
    if gap > most and gap > 2 * usual:
        return "slower"
    return "faster" if gap * 2 < usual and usual - gap > 1000 else "same"
