from __future__ import annotations

from random import Random

import pytest

from apps.audits.unusual import LEAST, began, judge, median, usual

CALM = 180


def arrivals(rate: float, steps: int, seed: int = 7) -> list[int]:
    """Return chance arrivals: events in each step at `rate` a step."""
    random = Random(seed)
    found = []
    for _ in range(steps):
        count, at = 0, random.expovariate(rate)
        while at < 1:
            count, at = count + 1, at + random.expovariate(rate)
        found.append(count)
    return found


@pytest.mark.parametrize(
    ("values", "middle"), [([], 0), ([3], 3), ([9, 1, 5], 5), ([1, 2, 3, 100], 2.5)]
)
def test_median(values: list[float], middle: float) -> None:
    assert median(values) == middle


@pytest.mark.parametrize("rate", [0.2, 2.0, 13.0, 400.0])
@pytest.mark.parametrize("seed", range(5))
def test_chance_alone_is_not_odd(rate: float, seed: int) -> None:
    steps = arrivals(rate, 400, seed)
    looks = [judge(steps[:end]) for end in range(1, 401)]
    assert {v.look for v in looks if v} == {""}


@pytest.mark.parametrize(("factor", "look"), [(3.0, "high"), (0.0, "silent"), (0.1, "low")])
def test_a_change_is_noticed(factor: float, look: str) -> None:
    calm = arrivals(13.0, CALM)
    changed = [round(n * factor) for n in arrivals(13.0, 6, seed=1)]
    verdict = judge([*calm, *changed])
    assert verdict is not None
    assert verdict.look == look
    assert began([*calm, *changed], verdict) == pytest.approx(6, abs=1)


def test_what_was_odd_before_does_not_become_usual() -> None:
    burst = [*arrivals(13.0, 100), *arrivals(60.0, 20), *arrivals(13.0, 80)]
    before, after = usual(arrivals(13.0, 200)), usual(burst)
    assert before is not None
    assert after is not None
    assert after.middle == pytest.approx(before.middle, rel=0.15)
    assert after.high < 2 * before.high


def test_few_events_are_nothing_to_speak_of() -> None:
    verdict = judge([*[0] * CALM, 3, 3, 3])
    assert verdict is not None
    assert verdict.look == ""
    rare = judge([*[1, 0, 0, 0] * 45, *[0] * 12, 0, 0, 0])  # silence that chance explains
    assert rare is not None
    assert rare.look != "silent" or rare.usual.middle >= 15


def test_less_failing_is_fine() -> None:
    verdict = judge([*[20] * CALM, *[0] * 6], rises_only=True)
    assert verdict is not None
    assert verdict.look == ""


def test_without_a_past_nothing_is_unusual() -> None:
    assert judge([500] * LEAST) is None
    assert judge([]) is None


def test_the_hour_of_other_days_counts_more_than_the_last_half_hour() -> None:
    quiet_night_then_opening = [*[1] * CALM, *[40] * 15]
    assert judge(quiet_night_then_opening).look == "high"  # type: ignore[union-attr]
    as_every_day = [14_000.0, 14_800.0, 14_300.0, 14_500.0]
    assert judge(quiet_night_then_opening, hours=as_every_day).look == ""  # type: ignore[union-attr]
