from __future__ import annotations

import pytest

from apps.pages.ticks import percent, ticks, unit
from apps.pages.words import DAY, HOUR, MINUTE, SECOND


def test_it_works() -> None:
    found = ticks(50 * SECOND, 50 * SECOND + 10 * MINUTE)
    assert [t.time for t in found] == [n * MINUTE for n in range(1, 11)]
    assert found[0].x == percent(10 * SECOND, 10 * MINUTE)
    assert {t.unit for t in found} == {"min"}


@pytest.mark.parametrize("span", [1, 999, 7_000, SECOND, 90 * SECOND, HOUR, DAY, 400 * DAY, 10**16])
@pytest.mark.parametrize("start", [0, 1_778_587_200_000_001, -5 * DAY])
def test_labels_are_few_rising_and_within(start: int, span: int) -> None:
    found = ticks(start, start + span)
    assert len(found) <= 12
    assert all(start <= t.time < start + span for t in found)
    assert [t.time for t in found] == sorted({t.time for t in found})


def test_nothing_for_an_empty_span() -> None:
    assert ticks(5, 5) == []


def test_places_stay_on_the_axis() -> None:
    assert percent(55_528, 100_000) == "55.528%"
    assert (percent(-1, 10), percent(11, 10), percent(1, 0)) == ("0%", "100%", "0%")


def test_the_unit_is_as_small_as_needed() -> None:
    assert [unit(s) for s in (1000, SECOND, MINUTE, DAY)] == ["ms", "s", "min", "day"]
