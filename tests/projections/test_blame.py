from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.projections import blame, merge
from apps.projections.exact import MISSING, id_field, pointer, same
from tests.projections.values import objects, values


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Return every leaf by its path."""
    if isinstance(value, dict) and value:
        return {p: v for k, x in value.items() for p, v in leaves(x, (*path, k)).items()}
    if isinstance(value, list) and value:
        return {p: v for n, x in enumerate(value) for p, v in leaves(x, (*path, n)).items()}
    return {} if value is MISSING else {path: value}


def before_of(old: Any, new: Any, path: tuple[Any, ...]) -> Any:
    """Return what was in `old` where `path` leads in `new`, elements followed by id or key."""
    for part in path:
        if type(old) is not type(new) or not old:
            return MISSING
        if isinstance(new, dict):
            old = old.get(part, MISSING)
        elif field := id_field(old, new):
            name = new[part][field]
            old = next((e for e in old if e[field] == name), MISSING)
        else:
            old = old[part] if part < len(old) else MISSING
        new = new[part]
    return old


def original_path(old: Any, new: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    was: list[Any] = []
    for part in path:
        if isinstance(new, list) and (field := id_field(old, new)):
            at = next(n for n, e in enumerate(old) if e[field] == new[part][field])
        else:
            at = part
        was.append(at)
        old, new = old[at], new[part]
    return tuple(was)


def slowly(states: list[Any]) -> dict[str, int]:
    """Blame by comparing every leaf with the state before, one position after the other."""
    marks: dict[tuple[Any, ...], int] = {}
    old: Any = MISSING
    for position, new in enumerate(states, 1):
        now = {}
        for path, leaf in leaves(new).items():
            was = before_of(old, new, path)
            if same(was, leaf):
                now[path] = marks[original_path(old, new, path)]
            else:
                now[path] = position
        old, marks = new, now
    return {pointer(path): position for path, position in marks.items()}


def folded(patches: list[Any]) -> tuple[list[Any], Any]:
    state, marks, states = MISSING, MISSING, []
    for position, patch in enumerate(patches, 1):
        state, marks = blame.applied(state, marks, patch, position)
        states.append(state)
    return states, marks


@given(st.lists(values, max_size=6))
def test_it_is_what_a_slow_reference_says(patches: list[Any]) -> None:
    states, marks = folded(patches)
    assert blame.flat(marks) == slowly(states)


@given(st.lists(objects, max_size=6))
def test_it_is_what_a_slow_reference_says_of_objects(patches: list[Any]) -> None:
    states, marks = folded(patches)
    assert blame.flat(marks) == slowly(states)


@given(st.lists(values, max_size=6))
def test_the_state_beside_it_is_that_of_a_plain_fold(patches: list[Any]) -> None:
    plain, states = MISSING, []
    for patch in patches:
        plain = merge.apply(plain, patch)
        states.append(plain)
    for a, b in zip(folded(patches)[0], states, strict=True):
        assert same(a, b)


@given(st.lists(values, max_size=6))
def test_comparing_whole_states_gives_the_same(patches: list[Any]) -> None:
    states, marks = folded(patches)
    state, slow = MISSING, MISSING
    for position, after in enumerate(states, 1):
        slow = blame.renewed(state, slow, after, position)
        state = after
    assert blame.flat(slow) == blame.flat(marks)


@given(st.lists(values, min_size=1, max_size=4))
def test_it_survives_being_stored(patches: list[Any]) -> None:
    states, marks = folded(patches)
    stored = blame.row(states[-1], marks)
    assert blame.unrow(states[-1], iter(stored)) == marks


def test_writing_the_same_again_is_not_setting_it() -> None:
    _, marks = folded([{"a": 1, "b": 1}, {"a": 1, "b": 2}])
    assert blame.flat(marks) == {"/a": 1, "/b": 2}


def test_it_follows_elements_by_id_and_by_key() -> None:
    for name in ("id", "key"):
        first = {name: "x", "q": 1}
        second = {name: "y", "q": 1}
        _, marks = folded([{"l": [first]}, {"l": [second, first]}, {"l": [first | {"q": 2}]}])
        assert blame.flat(marks) == {f"/l/0/{name}": 1, "/l/0/q": 3}


def test_without_an_id_elements_are_followed_by_index() -> None:
    _, marks = folded([{"l": [1, 2]}, {"l": [1, 3, 4]}])
    assert blame.flat(marks) == {"/l/0": 1, "/l/1": 2, "/l/2": 2}


def test_debezium_rows_are_blamed_by_column() -> None:
    rows = [
        {"op": "c", "before": None, "after": {"id": 1, "n": "a"}},
        {"op": "u", "before": {"id": 1, "n": "a"}, "after": {"id": 1, "n": "b"}},
    ]
    states, marks = folded(rows)
    assert states[-1] == {"id": 1, "n": "b"}
    assert blame.flat(marks) == {"/id": 1, "/n": 2}
