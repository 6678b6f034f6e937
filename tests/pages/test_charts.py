from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from apps.pages.charts import bars, ceiling, stacked

STROKE = re.compile(r"M(\d+)\.5 ([\d.]+)v-([\d.]+)")


def strokes(path: str) -> list[tuple[int, float, float]]:
    found = STROKE.findall(path)
    assert "".join(f"M{x}.5 {y}v-{h}" for x, y, h in found) == path
    return [(int(x), float(y), float(h)) for x, y, h in found]


def test_it_works() -> None:
    assert bars([10, 0, 5], top=10, height=40) == "M0.5 40v-40M2.5 40v-20"


def test_failures_stand_on_the_rest() -> None:
    assert stacked([5, 0], [5, 1], top=10, height=40) == "M0.5 20v-20M1.5 40v-4"


def test_what_happened_once_is_not_invisible() -> None:
    assert strokes(bars([1], top=10**9, height=40)) == [(0, 40.0, 0.5)]


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=60))
def test_no_stroke_leaves_the_box(pairs: list[tuple[int, int]]) -> None:
    under, over = [a for a, _ in pairs], [b for _, b in pairs]
    top = ceiling([a + b for a, b in pairs])
    for _, y, length in strokes(
        bars(under, top=top, height=40) + stacked(under, over, top=top, height=40)
    ):
        assert 0 < length <= y <= 40


def test_one_burst_does_not_flatten_everything_else() -> None:
    assert ceiling([10] * 99 + [100_000]) == 15.0
    assert ceiling([10, 100]) == 100.0  # a few bars are shown as they are
    assert ceiling([]) == ceiling([0, 0]) == 1.0
