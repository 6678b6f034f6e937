from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from apps.projections.exact import MISSING
from apps.projections.merge import UNAVAILABLE, apply, merged
from tests.projections.values import objects, values

# RFC 7396, appendix A
CASES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("state", "patch", "result"), CASES)
def test_it_is_json_merge_patch(state: Any, patch: Any, result: Any) -> None:
    assert merged(state, patch) == result


@given(values, objects)
def test_it_changes_neither(state: Any, patch: Any) -> None:
    kept = copy.deepcopy((state, patch))
    merged(state, patch)
    assert (state, patch) == kept


def test_no_data_changes_nothing() -> None:
    assert apply({"a": 1}, MISSING) == {"a": 1}
    assert apply(MISSING, MISSING) is MISSING


def test_deletions() -> None:
    assert apply({"a": 1}, None) is None
    assert apply({"a": 1}, {"a": 2}, deletes=True) is None
    assert apply(None, {"a": 2}) == {"a": 2}


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"schema": {}, "payload": e}])
def test_debezium_envelopes(wrap: Any) -> None:
    row = {"id": 1, "name": "a"}
    state = apply(MISSING, wrap({"before": None, "after": row, "op": "c", "source": {}}))
    assert state == row
    state = apply(state, wrap({"before": row, "after": {"id": 1}, "op": "u"}))
    assert state == {"id": 1}
    assert apply(state, wrap({"before": row, "after": None, "op": "d"})) is None
    assert apply(state, wrap({"before": None, "after": None, "op": "t"})) is None
    assert apply(state, wrap({"op": "m", "source": {}})) == state


def test_columns_debezium_left_out_stay() -> None:
    after = {"id": 1, "blob": UNAVAILABLE}
    assert apply({"id": 1, "blob": "x"}, {"op": "u", "after": after}) == {"id": 1, "blob": "x"}


@pytest.mark.parametrize("data", [{"op": "refund", "after": 1}, {"op": "c"}, {"op": 1, "after": 2}])
def test_what_only_looks_like_an_envelope_is_a_patch(data: Any) -> None:
    assert apply({}, data) == data
