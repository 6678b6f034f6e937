"""How far behind subscribers were, counted back from the log."""

from __future__ import annotations

from typing import Any

from apps.live.counters import Route
from apps.live.queries.counting import POINTS, SPARK_S, backlogs, counted, seen
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


def test_who_took_part_is_known_of_the_time_before(log: Any) -> None:
    time = trade(log)
    line, quarter = log.line, POINTS * STEP
    assert set(seen(line, time=time).events.values()) == {sum(CAME[:-1])}
    assert seen(line, time=time).routes == {Route("shop", "email")}
    assert seen(line, time=T0) == ({}, set())  # what comes within the same ten seconds is not told
    assert seen(line, time=time + quarter).events
    assert seen(line, time=time + quarter + STEP) == ({}, set())


def test_a_way_that_is_new_in_a_young_log_is_seen(log: Any) -> None:
    paid = [envelope(type="Paid", channel="shop", time=T0 + n) for n in range(4)]
    first = log.append(*paid, now=T0 + 10**12)
    told = envelope(kind="delivery", type="handled", source="/email", cause=first[0], time=T0)
    log.append(told, now=T0 + 10**12)
    assert seen(log.line, time=T0 + STEP).routes == {Route("shop", "email")}
    paid = [envelope(type="Paid", channel="mail", time=T0 + n) for n in range(4)]
    other = log.append(*paid, now=T0 + 10**12)
    log.append(*(envelope(kind="delivery", type="handled", source="/email", cause=p, time=T0)
                 for p in other), now=T0 + 10**12)  # fmt: skip
    assert seen(log.line, time=T0 + STEP).routes == {Route("shop", "email"), Route("mail", "email")}
