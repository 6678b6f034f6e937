"""How often events are handled, as far as was observed, without a database."""

from __future__ import annotations

import pytest

from apps.traces.audience import Lag, Seen, gathered
from apps.traces.deliveries import Delivery

SECOND = 1_000_000


def seen(event: int, outcome: str = "handled", attempt: int = 1, **fields: object) -> Seen:
    position = 100 + 10 * event + attempt
    given = {"evidence": "acked", "position": position, "earliest": 0, "latest": 0}
    delivery = Delivery(event, "billing", attempt, outcome, **(given | fields))  # type: ignore[arg-type]
    return Seen(delivery, "Paid", "kafka", event * SECOND)


@pytest.mark.parametrize(
    ("deliveries", "sign"),
    [
        ([], ""),
        ([seen(1, "received")], ""),
        ([seen(1, "failed")], ""),
        ([seen(1), seen(2)], "=1"),
        ([seen(1, "failed"), seen(1, attempt=2)], "=1"),
        ([seen(1), seen(1, attempt=2)], "≥1"),
        ([seen(1), seen(1, "skipped", 2)], "=1"),
        ([seen(1), seen(1, attempt=2), seen(2, "dead_lettered")], "≤1"),
    ],
)
def test_a_sign_says_how_often(deliveries: list[Seen], sign: str) -> None:
    found = gathered("billing", {}, deliveries, [])
    assert found.all.sign == sign
    assert {cell.sign for cell in found.types.values()} <= {sign}


def test_an_event_handled_thrice_is_one_example() -> None:
    found = gathered("billing", {}, [seen(1), seen(1, attempt=2), seen(1, attempt=3)], [])
    assert (found.all.twice, found.all.retries) == ([1], 2)


def test_a_rate_counts_what_was_handled_alone() -> None:
    """The newest failures reach further back than the newest successes."""
    found = gathered("billing", {}, [seen(1, "failed"), *(seen(n) for n in range(91, 101))], [])
    assert found.all.rate(101 * SECOND) == 1.0
    assert gathered("billing", {}, [seen(1)], []).all.rate(9 * SECOND) is None


def test_totals_are_of_the_whole_log() -> None:
    found = gathered("b", {"handled": 90, "failed": 8, "dead_lettered": 2, "received": 7}, [], [])
    assert (found.told, found.failed) == (100, 10)
    assert found.has_problem, "dead letters, also those of long ago"


def test_lags_of_channels_add_up() -> None:
    assert gathered("b", {}, [], []).lag is None
    lags = [Lag("b", 2, 0, 1), Lag("a", 5, 0, 2)]
    found = gathered("b", {}, [], lags)
    assert (found.lag, [lag.channel for lag in found.lags]) == (7, ["a", "b"])


def test_handling_times() -> None:
    times = [seen(n, started=0, finished=n * 1000) for n in range(1, 101)]
    found = gathered("billing", {}, times, []).all
    assert (found.took(0.5), found.took(0.99)) == (50_000, 99_000)
    assert gathered("billing", {}, [seen(1)], []).all.took(0.5) is None
