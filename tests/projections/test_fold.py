from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from apps.projections.fold import Point, fold, walk


class Paid(NamedTuple):
    position: int
    cents: Any


def total(state: dict[str, Any], event: Paid) -> dict[str, Any]:
    return {"cents": state["cents"] + event.cents}


def given(*cents: Any) -> list[Paid]:
    return [Paid(n, c) for n, c in enumerate(cents, start=1)]


EMPTY = Point(0, {"cents": 0})


def test_it_applies_events_in_order() -> None:
    assert fold(total, EMPTY, given(100, 250)) == Point(2, {"cents": 350})


@generated(st.lists(st.integers() | st.just("oops"), max_size=8), st.integers(0, 8))
def test_folding_on_is_folding_at_once(cents: list[Any], cut: int) -> None:
    events = given(*cents)
    snapshot = fold(total, EMPTY, events[:cut])
    assert fold(total, snapshot, events[cut:]) == fold(total, EMPTY, events)


def test_it_stops_at_the_event_the_reducer_cannot_take() -> None:
    point = fold(total, EMPTY, given(100, "oops", 50))

    assert point.position == 1
    assert point.state == {"cents": 100}
    assert point.error.startswith("TypeError:")
    assert point.broken == 2


def test_an_error_poisons_nothing_before_it() -> None:
    points = list(walk(total, EMPTY, given(1, 2, "oops", 4)))
    assert [p.state["cents"] for p in points] == [1, 3, 3]
    assert [p.broken for p in points] == [None, None, 3]


def test_a_reducer_that_mutates_cannot_change_the_past() -> None:
    def careless(state: dict[str, int], event: Paid) -> dict[str, int]:
        state["cents"] += event.cents
        if event.cents == 7:
            raise RuntimeError("half done")
        return state

    points = list(walk(careless, EMPTY, given(100, 7)))

    assert EMPTY.state == {"cents": 0}
    assert points[-1].state == {"cents": 100}


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: Any = []
for _ in range(250):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned None"),
        (object(), "JSON cannot hold"),
        ({1: {object()}}, "JSON cannot hold"),
        (CYCLE, "contains itself"),
        (DEEP, "levels of nesting"),
        ("x" * 17_000_000, "a state has at most"),
    ],
)
def test_nonsense_is_an_error_in_words(result: Any, words: str) -> None:
    point = fold(lambda state, event: result, EMPTY, given(1))
    assert words in point.error
    assert point.state == {"cents": 0}


def test_an_exception_that_cannot_be_shown() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def rude(state: Any, event: Paid) -> Any:
        raise Rude

    assert fold(rude, EMPTY, given(1)).error == "Rude: (its message cannot be shown)"
