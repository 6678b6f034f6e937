from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from hypothesis import given

from apps.projections.diff import Change, changes, jsonable, rising
from apps.projections.exact import MISSING, same
from tests.projections.values import values


def applied(value: Any, steps: list[Change]) -> Any:
    """Apply steps as RFC 6902 would, checking that each finds what it says it does."""
    value = copy.deepcopy(value)
    for step in steps:
        if step.path == "":
            assert same(value, step.before)
            value = copy.deepcopy(step.after)
            continue
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in step.path.split("/")[1:]]
        inside = value
        for part in parents:
            inside = inside[int(part)] if isinstance(inside, list) else inside[part]
        key: Any = int(last) if isinstance(inside, list) else last
        if step.op == "add":
            assert isinstance(inside, list) or key not in inside
            new = copy.deepcopy(step.after)
            inside.insert(key, new) if isinstance(inside, list) else inside.update({key: new})
            continue
        assert same(inside[key], step.before)
        if step.op == "remove":
            del inside[key]
        else:
            inside[key] = copy.deepcopy(step.after)
    return value


@given(values, values)
def test_the_steps_lead_from_one_value_to_the_other(a: Any, b: Any) -> None:
    assert same(applied(a, changes(a, b)), b)


@given(values)
def test_a_value_differs_in_nothing_from_itself(a: Any) -> None:
    assert changes(a, copy.deepcopy(a)) == []


@given(values, values)
def test_no_step_means_the_same_value(a: Any, b: Any) -> None:
    assert bool(changes(a, b)) is not same(a, b)


def test_one_true_and_the_text_are_different_values() -> None:
    apart = [1, Decimal("1.0"), "1", True]
    for n, a in enumerate(apart):
        for b in apart[n + 1 :]:
            assert changes({"x": a}, {"x": b}) == [Change("replace", "/x", a, b)]


def test_big_numbers_are_exact() -> None:
    a, b = 2**64, 2**64 + 1
    assert changes({"n": a}, {"n": b}) == [Change("replace", "/n", a, b)]
    long = Decimal("0.1000000000000000000000000000000000001")
    assert changes({"n": Decimal("0.1")}, {"n": long})[0].after == long


def test_an_element_that_moved_is_told_from_one_that_was_edited() -> None:
    a, b, c = {"id": 1, "q": 1}, {"id": 2, "q": 1}, {"id": 3, "q": 1}
    edited = {"id": 3, "q": 9}

    assert changes([a, b, c], [a, b, edited]) == [Change("replace", "/2/q", 1, 9)]
    assert changes([a, b, c], [c, a, b]) == [
        Change("remove", "/2", before=c, moved="/0"),
        Change("add", "/0", after=c, moved="/2"),
    ]
    assert changes([a, b, c], [edited, a, b])[2:] == [Change("replace", "/0/q", 1, 9)]


def test_what_is_put_in_front_of_a_list_is_one_add() -> None:
    assert changes([1, 2, 3], [0, 1, 2, 3]) == [Change("add", "/0", after=0)]
    assert changes([1, 2, 3], [1, 3]) == [Change("remove", "/1", before=2)]


def test_an_entity_that_begins_is_added_whole() -> None:
    assert changes(MISSING, {"a": 1}) == [Change("add", "", after={"a": 1})]
    assert changes({"a": 1}, MISSING) == [Change("remove", "", before={"a": 1})]


def test_a_step_as_json_says_null_and_nothing_apart() -> None:
    assert jsonable(Change("add", "/a", after=None)) == {"op": "add", "path": "/a", "after": None}
    step = jsonable(Change("replace", "/a", None, 1))
    assert step == {"op": "replace", "path": "/a", "before": None, "after": 1}


def test_the_longest_rising_run() -> None:
    assert rising([]) == []
    assert rising([3, 1, 2, 0, 4]) == [1, 2, 4]


def test_a_long_list_is_quick() -> None:
    a = [{"id": n, "v": 0} for n in range(20_000)]
    b = [*a[1:], a[0]]
    assert len(changes(a, b)) == 2
