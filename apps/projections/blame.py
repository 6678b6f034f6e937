"""Who set each leaf of a state: a tree of marks beside the tree of values.

A mark is the position of the event that last *changed* a leaf; writing the same value again does
not. A leaf is a scalar, or an object or list that is empty. The marks of an object are a dict with
its keys, those of a list a list as long. Elements of lists are followed by their `id` or `key`,
else by their index. Marks are shared like states are: nothing changes marks that exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.projections import merge
from apps.projections.exact import MISSING, id_field, same, token

Marks = Any  # int | dict[str, Marks] | list[Marks]; MISSING where there is no value


def fresh(value: Any, position: int) -> Marks:
    """Return marks that say one event set all of a value."""
    if type(value) is dict and value:
        return {key: fresh(inner, position) for key, inner in value.items()}
    if type(value) is list and value:
        return [fresh(inner, position) for inner in value]
    return MISSING if value is MISSING else position


def renewed(before: Any, marks: Marks, after: Any, position: int) -> Marks:
    """Return the marks of `after`, which an event at `position` made of `before`."""
    if before is after:
        return marks
    kind = type(before)
    if kind is type(after) and before and after:  # two that are empty are the same leaf
        if kind is dict:
            return {
                key: renewed(before[key], marks[key], value, position)
                if key in before
                else fresh(value, position)
                for key, value in after.items()
            }
        if kind is list:
            return _in_list(before, marks, after, position)
    return marks if same(before, after) else fresh(after, position)


def _in_list(before: list[Any], marks: Marks, after: list[Any], position: int) -> Marks:
    field = id_field(before, after)
    if field is None:
        return [
            renewed(before[n], marks[n], value, position)
            if n < len(before)
            else fresh(value, position)
            for n, value in enumerate(after)
        ]
    was = {element[field]: n for n, element in enumerate(before)}
    found = ((value, was.get(value[field])) for value in after)
    return [
        fresh(value, position) if n is None else renewed(before[n], marks[n], value, position)
        for value, n in found
    ]


def merged(state: Any, marks: Marks, patch: Any, position: int) -> tuple[Any, Marks]:
    """Return state and marks with a JSON merge patch applied, looking only at what it names."""
    if type(patch) is not dict:
        return patch, renewed(state, marks, patch, position)
    known = type(state) is dict
    result = dict(state) if known else {}
    set_by: dict[str, Any] = dict(marks) if known and state else {}
    for key, value in patch.items():
        kind = type(value)
        if kind is int or kind is str:  # most are
            before = result.get(key)
            if before != value or type(before) is not kind:
                result[key], set_by[key] = value, position
            continue
        before = result.get(key, MISSING)
        if value is None:
            if before is not MISSING:
                del result[key], set_by[key]
        elif kind is dict:
            result[key], set_by[key] = merged(before, set_by.get(key, MISSING), value, position)
        elif kind is list:
            set_by[key] = renewed(before, set_by.get(key, MISSING), value, position)
            result[key] = value
        else:
            result[key] = value
            if type(before) is not kind or before != value:
                set_by[key] = position
    if result:
        return result, set_by
    return result, marks if known and not state else position


def applied(
    state: Any, marks: Marks, data: Any, position: int, *, deletes: bool = False
) -> tuple[Any, Marks]:
    """Return state and marks after an event with this data, as `merge.apply` does the state."""
    if deletes:
        return None, renewed(state, marks, None, position)
    wanted = merge.meant(data, state)
    if wanted is MISSING:
        return state, marks
    if type(wanted) is merge.Replacement:
        return wanted.state, renewed(state, marks, wanted.state, position)
    return merged(state, marks, wanted, position)


def flat(marks: Marks) -> dict[str, int]:
    """Return the position of each leaf by its JSON pointer."""
    return dict(leaves(marks))


def leaves(marks: Marks, path: str = "") -> Iterator[tuple[str, int]]:
    """Yield (JSON pointer, position) of each leaf, in order."""
    if type(marks) is dict:
        for key, inner in marks.items():
            yield from leaves(inner, f"{path}/{token(key)}")
    elif type(marks) is list:
        for n, inner in enumerate(marks):
            yield from leaves(inner, f"{path}/{n}")
    elif marks is not MISSING:
        yield path, marks


def row(state: Any, marks: Marks) -> list[int]:
    """Return the marks of the leaves in the order of the state's own, to be stored beside it."""
    if type(marks) is dict:
        return [mark for key, value in state.items() for mark in row(value, marks[key])]
    if type(marks) is list:
        return [
            mark for value, inner in zip(state, marks, strict=True) for mark in row(value, inner)
        ]
    return [] if marks is MISSING else [marks]


def unrow(state: Any, positions: Iterator[int]) -> Marks:
    """Return the marks of a state that was stored with `row`."""
    if type(state) is dict and state:
        return {key: unrow(value, positions) for key, value in state.items()}
    if type(state) is list and state:
        return [unrow(value, positions) for value in state]
    return MISSING if state is MISSING else next(positions)
