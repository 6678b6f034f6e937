from __future__ import annotations

import pytest

from apps.ingest import rates
from apps.ingest.problems import Refused
from apps.ingest.rates import Rates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(limit: Rates, key: int, times: int) -> int:
    """Return how many of `times` requests were let in."""
    count = 0
    for _ in range(times):
        try:
            limit.take(key)
        except Refused:
            pass
        else:
            count += 1
    return count


def test_it_works() -> None:
    clock = Clock()
    limit = Rates(5, clock)

    assert taken(limit, 1, 9) == 5
    assert taken(limit, 2, 9) == 5
    clock.now += 0.4
    assert taken(limit, 1, 9) == 2
    clock.now += 1000
    assert taken(limit, 1, 9) == 5


def test_it_says_when_to_come_back() -> None:
    limit = Rates(1, Clock())
    limit.take(1)
    with pytest.raises(Refused, match="EVDEBUG_KEY_RATE") as refused:
        limit.take(1)
    assert (refused.value.status, refused.value.retry_after) == (429, 1)


def test_zero_is_no_limit() -> None:
    assert taken(Rates(0), 1, 1000) == 1000


def test_it_remembers_no_more_keys_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "REMEMBERED", 3)
    limit = Rates(1, Clock())
    for key in range(10):
        limit.take(key)
    assert len(limit._buckets) <= 3
