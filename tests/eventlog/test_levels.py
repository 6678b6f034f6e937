"""How long things took, step by step, as the log tells it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.eventlog.envelope import isoformat
from apps.eventlog.queries import levels as reading
from apps.eventlog.queries.levels import What, levels, scaled, unscaled
from tests.factories import delivery, envelope

T0 = 1_800_000_000_000_000
SPAN = 10_000_000
N = T0 // SPAN
NOW = T0 + 10**12


def times(start: int, took: int) -> dict[str, str]:
    return {"started_at": isoformat(start), "finished_at": isoformat(start + took)}


def tell(log: Any) -> None:
    """Append two events, three deliveries and a progress in the first step, one in the third."""
    (cause,) = log.append(envelope(time=T0), now=NOW)
    log.append(
        delivery("/email", cause=cause, time=T0 + 900_000, data=times(T0 + 500_000, 400_000)),
        delivery("/email", "failed", cause=cause, time=T0 + 950_000, data=times(T0, 100_000)),
        delivery("/email", cause=cause, time=T0 + 10**6, data={"attempt": 2}),
        delivery("/email", "received", cause=cause, time=T0 + 10**6, data=times(T0, 9)),
        envelope(kind="progress", type="p", source="g", channel="c", time=T0 + 2, data={"lag": 7}),
        envelope(kind="progress", type="p", source="g", channel="c", time=T0 + 3, data={"lag": 9}),
        delivery("/late", time=T0 + 2 * SPAN, data=b"not JSON"),
        envelope(time=T0 + 3 * SPAN),
        now=NOW,
    )


def told(log: Any) -> dict[int, dict[What, tuple[int, float]]]:
    found = levels(log.line, N, N + 3, span=SPAN)
    return {
        n - N: {what: (level.measures, round(level.total, 6)) for what, level in of.items()}
        for n, of in found.items()
    }


def expected(code: str, *values: float) -> tuple[int, float]:
    return len(values), round(sum(scaled(code, value) for value in values), 6)


@pytest.mark.parametrize("page", [1, 3, 10_000])
def test_it_works(log: Any, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", page)
    tell(log)
    assert told(log) == {
        0: {
            What("latency", "email"): expected("latency", 400_000, 100_000),
            What("wait", "email"): expected("wait", 500_000, 850_000),
            What("lag", "g", "c"): expected("lag", 9),
        },
        1: {}, 2: {}, 3: {},
    }  # fmt: skip


def test_of_much_only_the_last_is_read(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ", 4)
    tell(log)
    assert set(told(log)[0]) == {What("lag", "g", "c")}


def test_nothing_is_told(log: Any) -> None:
    log.add()
    assert levels(log.line, N, N, span=SPAN) == {N: {}}


@pytest.mark.parametrize("code", ["latency", "wait", "lag"])
def test_measures_come_back(code: str) -> None:
    for value in (0.0, 1.0, 1204.0, 10.0**9):
        assert unscaled(code, scaled(code, value)) == pytest.approx(value, abs=0.01)
