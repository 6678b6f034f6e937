"""The history strip and the watches as drawings: columns, step lines, bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from apps.pages.blamed import number, scalar
from apps.pages.words import plural
from apps.projections.exact import MISSING

TOP, HEIGHT = 22.0, 62.0  # px the line may use
MARGIN = 1.5  # percent beside the first and the last dot
BANDS = 120


class Point(NamedTuple):
    """One column: where its dot is, and the line that leads on from it."""

    x: str  # percent, the middle
    left: str
    right: str
    y: str  # px
    next_y: str  # of the column after it, "" for the last
    text: str
    negative: bool


def points(values: Sequence[Any], times: Sequence[int] | None = None) -> tuple[list[Point], str]:
    """Return a column for each value and the height of zero, "" where zero is out of sight.

    times  have each dot stand where its time is, rather than all as far from each other
    """
    numeric = [float(v) if number(v) else None for v in values]
    known = [v for v in numeric if v is not None]
    low, high = (min([*known, 0.0]), max([*known, 0.0])) if known else (0.0, 1.0)
    if known and min(known) > (max(known) - min(known)) * 4:  # far from zero: it would be flat
        low, high = min(known), max(known)
    span = (high - low) or 1.0
    width = 100 / max(1, len(values))
    lefts = [n * width for n in range(len(values) + 1)]
    middles = [(n + 0.5) * width for n in range(len(values))]
    if times:
        middles = _scaled(times)
        lefts = [*middles, 100.0]
    ys = [TOP + HEIGHT / 2 if v is None else TOP + (high - v) / span * HEIGHT for v in numeric]
    drawn = [
        Point(
            f"{middles[n]:.3f}%",
            f"{lefts[n]:.3f}%",
            f"{lefts[n + 1]:.3f}%",
            f"{ys[n]:.1f}",
            f"{ys[n + 1]:.1f}" if n + 1 < len(ys) and known else "",
            said(value),
            (numeric[n] or 0) < 0,
        )
        for n, value in enumerate(values)
    ]
    zero = f"{TOP + high / span * HEIGHT:.1f}" if known and low < 0 < high else ""
    return drawn, zero


def _scaled(times: Sequence[int]) -> list[float]:
    """Return where times are from the first to the last, in percent, with room for the dots."""
    span = max(1, times[-1] - times[0])
    return [MARGIN + (100 - 2 * MARGIN) * (time - times[0]) / span for time in times]


def said(value: Any) -> str:
    """Return a value in a word, as a column or a band shows it."""
    if value is MISSING:
        return "–"
    if isinstance(value, str):
        return scalar(value).text.strip('"')[:24]
    if isinstance(value, dict | list) and value:
        return plural(len(value), "item" if isinstance(value, list) else "field")
    return scalar(value).text[:16]


class Band(NamedTuple):
    """A stretch in which an expression stayed the same."""

    x: str  # percent
    width: str
    text: str
    look: str  # "", ok or bad


class Drawing(NamedTuple):
    """The history of a watch: a step line for numbers, bands for all else."""

    path: str  # in a box of 100 by 22, "" for bands
    bands: list[Band]


def drawing(stretches: Sequence[tuple[int, Any]], *, start: int, end: int, rule: bool) -> Drawing:
    """Return the drawing of (time, value) stretches over a window of time."""
    span = max(1, end - start)
    shown = [
        (min(100.0, max(0.0, 100 * (time - start) / span)), value) for time, value in stretches
    ][-2000:]
    if not shown:
        return Drawing("", [])
    numbers = [float(v) for _, v in shown if number(v)]
    if numbers and all(number(v) or v is MISSING for _, v in shown):
        return Drawing(_path(shown, min(numbers), max(numbers)), [])
    ends = [x for x, _ in shown[1:]] + [100.0]
    bands = [
        Band(f"{x:.2f}%", f"{max(0.3, until - x):.2f}%", said(value), _look(value, rule))
        for (x, value), until in zip(shown, ends, strict=True)
    ]
    return Drawing("", bands[-BANDS:])


def _path(shown: Sequence[tuple[float, Any]], low: float, high: float) -> str:
    span = (high - low) or 1.0
    parts, begun = [], False
    for x, value in shown:
        if value is MISSING:
            continue
        y = 20 - 18 * (float(value) - low) / span if high > low else 11.0
        parts.append(f"H{x:.2f}V{y:.1f}" if begun else f"M{x:.2f} {y:.1f}")
        begun = True
    return "".join(parts) + "H100"


def _look(value: Any, rule: bool) -> str:
    if value is True:
        return "ok"
    return "bad" if value is False and rule else ""
