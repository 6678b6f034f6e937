"""Charts as text: one SVG path for each series, built from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence


def bars(values: Sequence[float], *, top: float, height: int) -> str:
    """Return the `d` of a path with one upright stroke for each value, in a box as wide as values.

    `top` is the value that fills `height`; a value above it is cut off, one above zero is at
    least half a pixel, so that nothing that happened is invisible.
    """
    return "".join(
        f"M{at}.5 {height}v-{_length(value, top, height)}"
        for at, value in enumerate(values)
        if value > 0
    )


def stacked(under: Sequence[float], values: Sequence[float], *, top: float, height: int) -> str:
    """Return the `d` of strokes that stand on those of `bars(under, …)`."""
    parts = []
    for at, (below, value) in enumerate(zip(under, values, strict=True)):
        if value > 0:
            length = float(_length(value, top, height))
            start = max(length, height - (float(_length(below, top, height)) if below > 0 else 0.0))
            parts.append(f"M{at}.5 {_short(start)}v-{_short(length)}")
    return "".join(parts)


def ceiling(values: Sequence[float]) -> float:
    """Return the value a chart's full height stands for.

    The highest, unless a few bars tower over the rest: then 1.5 times the height that 98 of 100
    stay below, so that one burst does not flatten everything else.
    """
    seen = sorted(value for value in values if value > 0)
    if not seen:
        return 1.0
    usual = seen[min(len(seen) - 1, int(len(seen) * 0.98))]
    return min(float(seen[-1]), 1.5 * usual) if len(seen) >= 50 else float(seen[-1])


def _length(value: float, top: float, height: int) -> str:
    return _short(min(float(height), max(0.5, height * value / top)))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
