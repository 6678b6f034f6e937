from __future__ import annotations

import pytest

from apps.access import pace
from apps.access.pace import Pace


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def slow(clock: list[float]) -> Pace:
    """Three at once, then one every two seconds."""
    return Pace(burst=3, per_s=0.5, clock=lambda: clock[0])


def test_it_works(slow: Pace, clock: list[float]) -> None:
    assert [slow.take("a") for _ in range(5)] == [0, 0, 0, 2, 2]
    clock[0] += 1.5
    assert slow.take("a") == 1
    clock[0] += 0.5
    assert [slow.take("a"), slow.take("a")] == [0, 2]


def test_each_name_has_its_own(slow: Pace) -> None:
    assert [slow.take("a") for _ in range(4)][-1] == 2
    assert slow.take("b") == 0


def test_waiting_longer_saves_up_no_more_than_the_burst(slow: Pace, clock: list[float]) -> None:
    slow.take("a")
    clock[0] += 10_000
    assert [slow.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_many_names_do_not_fill_the_memory(slow: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "REMEMBERED", 10)
    for n in range(1000):
        slow.take(str(n))
    assert len(slow._left) <= 10


def test_forgetting_gives_everything_back(slow: Pace) -> None:
    assert [slow.take("a") for _ in range(4)][-1] == 2
    slow.forget()
    assert slow.take("a") == 0
