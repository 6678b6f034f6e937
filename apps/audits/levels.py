"""What takes far longer than usual: levels in steps of ten seconds, held against their past.

Levels are logarithms, so a factor is a difference. Otherwise as `unusual`: median and median
absolute deviation, and never a smaller deviation than chance has.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from typing import NamedTuple

from apps.audits.unusual import LEAST, PAST, SPARED, WIDTHS, median

ENOUGH = 10  # measures in a width, so that a few slow ones are no change
FAR = 6.0  # deviations
DOUBLE = 1.0  # of the usual, at least; log2
SPREAD = 0.1  # a deviation is never believed to be smaller; log2

Sum = tuple[int, float]  # how many measures, and the sum of their logarithms


class Usual(NamedTuple):
    """What is usual within `width` steps, as logarithms."""

    width: int
    middle: float
    deviation: float

    @property
    def low(self) -> float:
        return self.middle - 2 * self.deviation

    @property
    def high(self) -> float:
        return self.middle + 2 * self.deviation


class Verdict(NamedTuple):
    """What is now, held against its usual: "high" or ""."""

    look: str
    usual: Usual
    now: float


def judge(steps: Sequence[Sum], *, enough: int = ENOUGH) -> Verdict | None:
    """Return the verdict on the last steps, the last one whole; None where too little is known.

    The first width that usually holds enough measures is judged.
    """
    past = steps[:-SPARED][-PAST:]
    if sum(1 for count, _ in past if count) < LEAST:
        return None
    counts = [0, *accumulate(count for count, _ in past)]
    totals = [0.0, *accumulate(total for _, total in past)]
    for width in WIDTHS:
        ends = range(len(past), width - 1, -width)
        pools = [(counts[e] - counts[e - width], totals[e] - totals[e - width]) for e in ends]
        values = [total / count for count, total in pools if count]
        if len(values) >= 6 and median([count for count, _ in pools]) >= enough:
            return _judged(steps, past, values, width, enough)
    return None


def _judged(
    steps: Sequence[Sum], past: Sequence[Sum], values: Sequence[float], width: int, enough: int
) -> Verdict | None:
    """Hold the last `width` steps against the values of such widths before."""
    count = sum(count for count, _ in steps[-width:])
    if count < enough:
        return None
    now = sum(total for _, total in steps[-width:]) / count
    known = Usual(width, median(values), max(_spread(values), SPREAD))
    if now < known.middle + max(DOUBLE, FAR * known.deviation):
        return Verdict("", known, now)
    # How far apart single measures are is told by all steps: widths are too few for that.
    chance = _apart(past) / sqrt(count)
    known = known._replace(deviation=max(known.deviation, chance))
    far = now >= known.middle + FAR * known.deviation
    return Verdict("high" if far else "", known, now)


def _apart(past: Sequence[Sum]) -> float:
    steps = [(count, total / count) for count, total in past if count]
    middle = median([value for _, value in steps])
    return _spread([middle + (value - middle) * sqrt(count) for count, value in steps])


def _spread(values: Sequence[float]) -> float:
    """Return the deviation of values, whatever a few of them are."""
    middle = median(values)
    return 1.4826 * median([abs(value - middle) for value in values])


def began(steps: Sequence[Sum], verdict: Verdict) -> int:
    """Return how many steps ago what the last ones show began: 1 is the last step."""
    bound, back = verdict.usual.middle + DOUBLE / 2, 1
    while back < len(steps) and (steps[-back - 1][0] == 0 or _level(steps[-back - 1]) > bound):
        back += 1
    while back > 1 and (steps[-back][0] == 0 or _level(steps[-back]) <= bound):
        back -= 1
    return back


def _level(step: Sum) -> float:
    return step[1] / step[0]
