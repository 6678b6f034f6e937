from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pages.windows import MOST, Window, asked, window, written, zoomed
from apps.pages.words import MINUTE, SECOND


def test_it_works() -> None:
    assert window(7 * SECOND, 20 * MINUTE) == Window(0, 20 * MINUTE + 10 * SECOND, 10 * SECOND)


@given(st.integers(-(10**17), 10**17), st.integers(0, 10**17))
def test_a_window_holds_what_it_was_made_for_in_few_whole_bars(start: int, span: int) -> None:
    found = window(start, start + span)
    assert found.holds(start)
    assert found.holds(start + span)
    assert 1 <= found.bins <= MOST
    assert found.start % found.step == found.end % found.step == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all",
        "5",
        "5..",
        "..5",
        "9..5",
        "5..5",
        "a..b",
        "1e3..2e3",
        "1..99999999999999999",
        "１..２",
    ],
)
def test_nonsense_asks_for_nothing(text: str) -> None:
    assert asked(text) is None


def test_an_address_is_read_as_it_is_written() -> None:
    assert asked(written(1_500, 9_001_000)) == (1_000, 9_001_000)
    assert asked("-5..5") == (-5_000, 5_000)


def test_zooming_keeps_the_moment_where_it_is() -> None:
    shown = Window(0, 100 * MINUTE, MINUTE)
    start, end = asked(zoomed(shown, 0.5, 80 * MINUTE)) or (0, 0)
    assert (80 * MINUTE - start) / (end - start) == pytest.approx(0.8)
    assert end - start == 50 * MINUTE
    wider = asked(zoomed(shown, 2, 500 * MINUTE)) or (0, 0)  # not in sight: around the middle
    assert wider[1] - wider[0] == 200 * MINUTE
