"""What is far from usual: counts of a subject in steps of ten seconds, held against their past.

Robust on purpose: median and median absolute deviation, so that what was odd before does not make
oddness usual. A deviation below that of chance arrivals (the square root) is never believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from math import sqrt
from typing import NamedTuple

STEP_S = 10
WIDTHS = (3, 6, 15, 30)  # steps that are judged together: the first with enough in it
PAST = 180  # steps a subject is held against: 30 min
SPARED = 12  # the last ones do not count as past: what begins is not usual yet
LEAST = 30  # steps of past without which nothing is called unusual
ENOUGH = 15  # events usual in a width, so that fewer can be told from none by chance
FEW = 10  # events without which nothing is too many
FAR = 6.0  # deviations
FACTOR = 2.0  # of the usual, at least


class Usual(NamedTuple):
    """What a subject usually does, in events within `width` steps."""

    width: int
    middle: float
    deviation: float
    least: float  # that there ever was

    @property
    def low(self) -> float:
        """Events a second that are still usual."""
        return max(0.0, self.middle - 2 * self.deviation) / self.width / STEP_S

    @property
    def high(self) -> float:
        """Events a second that are still usual."""
        return (self.middle + 2 * self.deviation) / self.width / STEP_S


class Verdict(NamedTuple):
    """What a subject does now, held against its usual: "high", "low", "silent" or "" for usual."""

    look: str
    usual: Usual
    rate: float  # per second


def median(values: Sequence[float]) -> float:
    """Return the median of values, 0 of none."""
    ranked = sorted(values)
    middle = len(ranked) // 2
    if not ranked:
        return 0.0
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


def usual(past: Sequence[float], *, hours: Sequence[float] = ()) -> Usual | None:
    """Return what is usual after a past; None where it is too short to tell.

    past   events in each step, oldest first
    hours  events in the same hour of earlier days, where there are enough of them
    """
    known = None
    for known in _widths(past, hours):
        if known.middle >= ENOUGH:
            break
    return known


def _widths(past: Sequence[float], hours: Sequence[float]) -> Iterator[Usual]:
    """Yield what is usual in each width."""
    a_step = [count * STEP_S / 3600 for count in hours] if len(hours) >= 3 else []
    if not a_step and len(past) < LEAST:
        return
    for width in WIDTHS:
        values = _scaled(a_step, width) if a_step else _sums(past, width)
        if values:
            middle = median(values)
            spread = 1.4826 * median([abs(value - middle) for value in values])
            yield Usual(width, middle, max(spread, sqrt(middle), 1.0), min(values))


def _scaled(a_step: Sequence[float], width: int) -> list[float]:
    return [count * width for count in a_step]


def _sums(past: Sequence[float], width: int) -> list[float]:
    """Return the sums of `width` steps each, without overlap, from the end."""
    upto = [0.0, *accumulate(past)]
    return [upto[end] - upto[end - width] for end in range(len(past), width - 1, -width)]


def judge(steps: Sequence[float], *, hours: Sequence[float] = (), rises_only: bool = False,
          ) -> Verdict | None:  # fmt: skip
    """Return the verdict on the last steps; None where there is not enough past.

    steps       events in each step, oldest first, the last one whole
    rises_only  too few is fine: failures
    """
    past = steps[:-SPARED][-PAST:]
    first = usual(past, hours=hours)
    if first is None:
        return None
    verdict = _verdict(steps, first, rises_only=rises_only)
    if rises_only or verdict.look == "high" or (verdict.look and not _pauses(past, steps)):
        return verdict
    verdict = verdict._replace(look="")
    # A rise shows at once; what is missing may need more time to tell from chance.
    few = sum(past) / len(past) if past else 0.0
    if sum(steps[-first.width :]) > few * first.width:
        return verdict
    for wider in (known for known in _widths(past, hours) if known.width > first.width):
        lacking = _verdict(steps, wider, rises_only=False)
        if lacking.look in ("low", "silent") and not _pauses(past, steps):
            return lacking
    return verdict


def _pauses(past: Sequence[float], steps: Sequence[float]) -> bool:
    """Return whether a subject that comes in bursts may only be between two of them."""
    longest = max((len(list(run)) for some, run in groupby(past, bool) if not some), default=0)
    some, run = next(((some, len(list(run))) for some, run in groupby(reversed(steps), bool)))
    return not some and run <= 2 * longest


def _verdict(steps: Sequence[float], known: Usual, *, rises_only: bool) -> Verdict:
    now = sum(steps[-known.width :])
    return Verdict(_look(now, known, rises_only=rises_only), known, now / known.width / STEP_S)


def _look(now: float, known: Usual, *, rises_only: bool) -> str:
    far = FAR * known.deviation
    if now >= FEW and now > known.middle + far and now >= FACTOR * known.middle:
        return "high"
    if rises_only or known.middle < ENOUGH or now >= known.least:
        return ""  # or it was as rare before
    if now == 0:
        return "silent"
    return "low" if now < known.middle - far and now <= 0.3 * known.middle else ""


def began(steps: Sequence[float], verdict: Verdict) -> int:
    """Return how many steps ago what the last ones show began: 1 is the last step."""
    a_step = verdict.usual.middle / verdict.usual.width
    back = 1
    if verdict.look == "high":
        bound = max(1.0, a_step + 1.5 * sqrt(max(a_step, 1.0)))
        while back < len(steps) and steps[-back - 1] > bound:
            back += 1
        while back > 1 and steps[-back] <= bound:
            back -= 1
        return back
    bound = 0.3 * a_step
    while back < len(steps) and steps[-back - 1] <= bound:
        back += 1
    return back
