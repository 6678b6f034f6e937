"""The laws of delta debugging: what is left fails, and nothing of it can be left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.sandbox.shrinking import Asking, smallest

sizes = st.integers(1, 40)


@given(sizes, st.data())
def test_it_finds_exactly_what_is_needed(size: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, size - 1)))
    assert smallest(range(size), Asking(lambda kept: needed <= set(kept))) == sorted(needed)


@given(sizes, st.integers())
def test_nothing_of_it_can_be_left_out(size: int, seed: int) -> None:
    """Whatever the test is, also one that more makes pass again."""
    everything = list(range(size))

    def fails(kept: list[int]) -> bool:
        return kept == everything or hash((seed, *kept)) % 3 == 0

    left = smallest(everything, Asking(fails))
    assert fails(left)
    assert left == sorted(set(left))
    if left:
        assert not fails([])
        assert not any(fails([x for x in left if x != out]) for out in left) or len(left) == 1


@given(sizes, st.integers(0, 30))
def test_tests_that_run_out_leave_what_fails(size: int, most: int) -> None:
    needed = {0, size - 1}
    asked = []

    def fails(kept: list[int]) -> bool:
        asked.append(tuple(kept))
        return needed <= set(kept)

    asking = Asking(fails, most=most)
    left = smallest(range(size), asking)
    assert needed <= set(left)
    assert len(asked) == len(set(asked)) == asking.asked <= most
    assert asking.over or set(left) == needed


def test_few_of_many_take_few_tests() -> None:
    needed = {17, 612, 900}
    asking: Asking[int] = Asking(lambda kept: needed <= set(kept))
    assert smallest(range(1000), asking) == [17, 612, 900]
    assert asking.asked < 200


def test_nothing_needs_nothing() -> None:
    assert smallest([1, 2, 3], Asking(lambda kept: True)) == []
    assert smallest([], Asking(lambda kept: True)) == []
