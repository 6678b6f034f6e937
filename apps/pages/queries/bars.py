"""Bars over time, most of them remembered: what is past does not change.

log_time never falls along positions, so a bar that ends before the newest log_time is final. Only
the bars at the live edge are counted anew.
"""

from __future__ import annotations

from collections import OrderedDict

from django.db import connection

from apps.eventlog.places import Line
from apps.eventlog.queries.counts import Bin, histograms
from apps.eventlog.query import parse
from apps.pages.windows import Window

SERIES = 64  # queries at one width, remembered by the process
BARS = 2000  # of each

Series = dict[int, Bin]  # number of the bar since 1970 -> its final count

_known: OrderedDict[tuple[int, int, int, str], Series] = OrderedDict()


def bars(line: Line, window: Window, *texts: str) -> list[list[Bin]]:
    """Return the bars of a window for each query.

    raises  QueryError
    """
    first, last = window.start // window.step, window.end // window.step
    settled = (line.log_time or 0) // window.step  # bars before this one are final
    held = [_series(line, window.step, text) for text in texts]
    known = 0
    while first + known < min(last, settled) and all(first + known in series for series in held):
        known += 1
    fresh: list[list[Bin]] = [[] for _ in texts]
    if first + known < last:
        found = histograms(
            line,
            start=(first + known) * window.step,
            end=window.end,
            bins=last - first - known,
            texts=texts,
        )
        for series, new, text, counted in zip(held, fresh, texts, found, strict=True):
            new += counted
            if counted.exact and _lasting(text):
                final = settled - first - known
                series.update(
                    (first + known + n, b) for n, b in enumerate(counted[: max(0, final)])
                )
    return [
        [*(series[first + n] for n in range(known)), *new]
        for series, new in zip(held, fresh, strict=True)
    ]


def _series(line: Line, step: int, text: str) -> Series:
    """Return what is remembered; nothing within a transaction, which may be rolled back."""
    if connection.in_atomic_block:
        return {}
    key = (line.timeline, line.forgotten, step, text)
    series = _known.setdefault(key, {})
    _known.move_to_end(key)
    if len(_known) > SERIES:
        _known.popitem(last=False)
    if len(series) > BARS:
        series.clear()
    return series


def _lasting(text: str) -> bool:
    """Return whether matches of the past stay matches: names do, deliveries may still come."""
    return all(term.field.sort == "name" for term in parse(text).terms)
