"""How far behind subscribers were, counted back from the log."""

from __future__ import annotations

from typing import Any

from apps.live.queries.counting import POINTS, SPARK_S, backlogs, counted
from tests.factories import envelope

T0 = 1_800_000_000_000_000  # on a point
STEP = SPARK_S * 1_000_000
CAME = [4] * 20 + [4, 4, 4]
WENT = [4] * 20 + [1, 0, 2]


def trade(log: Any) -> int:
    """Append events and what `email` answered, step by step; return the time of the last point."""
    waiting: list[int] = []
    for step, (came, went) in enumerate(zip(CAME, WENT, strict=True)):
        at = T0 + step * STEP
        events = [envelope(type="Paid", channel="shop", time=at + n) for n in range(came)]
        waiting += log.append(*events, now=T0 + 10**12)
        answers = [
            envelope(kind="delivery", type="handled", source="/email", cause=waiting.pop(0),
                     time=at + 1000 + n) for n in range(went)
        ]  # fmt: skip
        if answers:
            log.append(*answers, now=T0 + 10**12)
    return at + STEP - 1


def test_it_works(log: Any) -> None:
    time = trade(log)
    line = log.line
    series = backlogs(line, counted(line, at=line.head), time=time)
    assert set(series) == {"email"}
    assert len(series["email"]) == POINTS
    assert series["email"][-4:] == [0, 3, 7, 9]
    assert set(series["email"][:-3]) == {0}


def test_what_a_bus_tells_of_lag_counts_and_holds(log: Any) -> None:
    told = [
        envelope(kind="progress", type="progress", source="group", channel="orders",
                 time=T0 + step * STEP, data={"lag": lag})
        for step, lag in ((0, 3), (1, 1204), (4, 900))
    ]  # fmt: skip
    log.append(*told, envelope(type="Paid", time=T0 + 5 * STEP), now=T0 + 10**12)
    line = log.line
    series = backlogs(line, counted(line, at=line.head), time=T0 + 5 * STEP)
    assert series["group"][-7:] == [0, 3, 1204, 1204, 1204, 900, 900]


def test_nobody_is_behind_where_nothing_happened(log: Any) -> None:
    log.add(type="Paid", time=T0)
    assert backlogs(log.line, counted(log.line, at=1), time=T0) == {}
