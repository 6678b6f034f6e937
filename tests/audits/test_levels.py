from __future__ import annotations

from math import log2
from random import Random

import pytest

from apps.audits.levels import began, judge
from apps.audits.unusual import LEAST

CALM = 180


def times(
    typical: float, steps: int, *, seed: int, measures: int = 8, spread: float = 0.5
) -> list[tuple[int, float]]:
    """Return steps of measures around a typical one, as sums of logarithms."""
    random = Random(seed)
    found = []
    for _ in range(steps):
        count = max(0, round(random.gauss(measures, measures**0.5)))
        found.append((count, sum(log2(typical) + random.gauss(0, spread) for _ in range(count))))
    return found


@pytest.mark.parametrize("measures", [0.3, 1, 8, 200])
@pytest.mark.parametrize("spread", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_chance_alone_is_not_odd(measures: float, spread: float, seed: int) -> None:
    steps = times(400, 400, seed=seed, measures=round(measures) or 1, spread=spread)
    looks = [judge(steps[:end]) for end in range(1, 401)]
    assert {v.look for v in looks if v} == {""}


@pytest.mark.parametrize(("factor", "look"), [(4.0, "high"), (1.2, ""), (0.1, "")])
def test_a_change_is_noticed_where_it_is_for_the_worse(factor: float, look: str) -> None:
    steps = [*times(400, CALM, seed=3), *times(400 * factor, 6, seed=4)]
    verdict = judge(steps)
    assert verdict is not None
    assert verdict.look == look
    if look:
        assert began(steps, verdict) == pytest.approx(6, abs=1)
        assert verdict.usual.low < log2(400) < verdict.usual.high < verdict.now


def test_a_few_slow_ones_are_no_change() -> None:
    steps = times(400, CALM, seed=5)
    slow = [(count + 1, total + log2(400 * 50)) for count, total in times(400, 6, seed=6)]
    verdict = judge([*steps, *slow])
    assert verdict is not None
    assert verdict.look == ""


def test_without_enough_nothing_is_said() -> None:
    assert judge([]) is None
    assert judge(times(400, LEAST, seed=7)) is None
    assert judge([(0, 0.0)] * 300) is None
    assert judge([*times(400, CALM, seed=8), *[(0, 0.0)] * 6]) is None


def test_what_is_told_once_a_step_needs_fewer() -> None:
    steps = [(1, log2(20 + n % 3)) for n in range(CALM)]
    behind = [*steps, *[(1, log2(1200))] * 3]
    verdict = judge(behind, enough=2)
    assert verdict is not None
    assert verdict.look == "high"
    assert began(behind, verdict) == 3
