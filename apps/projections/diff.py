"""What changed between two JSON values, as steps that can be applied in order.

`changes(a, b)` yields adds, removes and replaces like those of RFC 6902; applied one after the
other to `a` they give `b`. Elements of lists whose elements have an `id` or a `key` are followed by
it: one that moved is taken out and put back unchanged (`moved` names its other place), and what
changed inside it is a step of its own. Other lists lose what they have in common at both ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec

from apps.projections.exact import MISSING, id_field, pointer, same

Path = tuple[str | int, ...]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step. `before` is MISSING for an add, `after` for a remove."""

    op: str  # add, remove or replace
    path: str  # a JSON pointer; "" is the whole value
    before: Any = MISSING
    after: Any = MISSING
    moved: str | None = None  # of an element that moved: where it was, or where it goes


def changes(before: Any, after: Any) -> list[Change]:
    """Return the steps from one value to another, [] where they are the same.

    MISSING stands for no value at all: from it everything is added, to it everything removed.
    """
    return list(_changes((), before, after))


def jsonable(change: Change) -> dict[str, Any]:
    """Return a step in the shape of the JSON API."""
    shape: dict[str, Any] = {"op": change.op, "path": change.path}
    if change.before is not MISSING:
        shape["before"] = change.before
    if change.after is not MISSING:
        shape["after"] = change.after
    if change.moved is not None:
        shape["moved"] = change.moved
    return shape


def _changes(path: Path, before: Any, after: Any) -> Iterator[Change]:
    if before is after:
        return
    if before is MISSING:
        yield Change("add", pointer(path), after=after)
    elif after is MISSING:
        yield Change("remove", pointer(path), before=before)
    elif type(before) is dict and type(after) is dict:
        yield from _in_object(path, before, after)
    elif type(before) is list and type(after) is list:
        if before and after and (field := id_field(before, after)):
            yield from _in_keyed_list(path, before, after, field)
        else:
            yield from _in_list(path, before, after)
    elif not same(before, after):
        yield Change("replace", pointer(path), before, after)


def _in_object(path: Path, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for key, value in before.items():
        yield from _changes((*path, key), value, after.get(key, MISSING))
    for key, value in after.items():
        if key not in before:
            yield Change("add", pointer((*path, key)), after=value)


def _in_list(path: Path, before: list[Any], after: list[Any]) -> Iterator[Change]:
    start, shorter = 0, min(len(before), len(after))
    while start < shorter and same(before[start], after[start]):
        start += 1
    end = 0
    while end < shorter - start and same(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    both = min(len(old), len(new))
    for n in range(both):
        yield from _changes((*path, start + n), old[n], new[n])
    for n in reversed(range(both, len(old))):
        yield Change("remove", pointer((*path, start + n)), before=old[n])
    for n in range(both, len(new)):
        yield Change("add", pointer((*path, start + n)), after=new[n])


def _in_keyed_list(path: Path, before: list[Any], after: list[Any], field: str) -> Iterator[Change]:
    was = {element[field]: n for n, element in enumerate(before)}
    now = {element[field]: n for n, element in enumerate(after)}
    kept = [was[element[field]] for element in after if element[field] in was]
    stay = {before[n][field] for n in rising(kept)}
    for n in reversed(range(len(before))):
        name = before[n][field]
        if name not in stay:
            to = pointer((*path, now[name])) if name in now else None
            yield Change("remove", pointer((*path, n)), before=before[n], moved=to)
    for n, element in enumerate(after):
        name = element[field]
        if name in was and name not in stay:
            old = before[was[name]]
            from_ = pointer((*path, was[name]))
            yield Change("add", pointer((*path, n)), after=old, moved=from_)
        elif name not in was:
            yield Change("add", pointer((*path, n)), after=element)
    for n, element in enumerate(after):
        if element[field] in was:
            yield from _changes((*path, n), before[was[element[field]]], element)


def rising(numbers: list[int]) -> list[int]:
    """Return a longest rising run through different numbers, left to right."""
    tails: list[int] = []
    ends: list[int] = []  # ends[i]: index in `numbers` of tails[i]
    previous: list[int] = []
    for n, number in enumerate(numbers):
        place = bisect_left(tails, number)
        previous.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [number]
        ends[place : place + 1] = [n]
    run, n = [], ends[-1] if ends else -1
    while n >= 0:
        run.append(numbers[n])
        n = previous[n]
    return run[::-1]
