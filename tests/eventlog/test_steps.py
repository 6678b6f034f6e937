"""Each step of time is read once, as soon as it can no longer change."""

from __future__ import annotations

from apps.eventlog.queries.steps import Steps
from tests.conftest import Log
from tests.factories import NOON

SPAN = 1000


class Reader:
    """Counts the events of each step, and notes what it was asked for."""

    def __init__(self, log: Log, *, most: int = 100) -> None:
        self.log, self.steps = log, Steps[int](most, int)
        self.asked: list[tuple[int, int]] = []

    def over(self, first: int, last: int) -> list[int]:
        base = NOON // SPAN
        found = self.steps.over(self.log.line, base + first, base + last, span=SPAN, read=self.read)
        return [found[base + n] for n in range(first, last + 1)]

    def read(self, after: int, upto: int) -> dict[int, int]:
        self.asked.append((after, upto))
        found: dict[int, int] = {}
        for event in self.log.read(after=after, upto=upto):
            step = event.log_time // SPAN
            found[step] = found.get(step, 0) + 1
        return found


def fill(log: Log, *steps: int) -> None:
    for n in steps:
        log.add(time=NOON + n * SPAN)


def test_it_works(transactional_db: None, log: Log) -> None:
    reader = Reader(log)
    fill(log, 0, 0, 2, 3)
    assert reader.over(0, 3) == [2, 0, 1, 1]
    assert reader.over(0, 2) == [2, 0, 1]
    assert reader.asked == [(0, 4)]  # the second time nothing is read
    fill(log, 3, 4)
    assert reader.over(0, 4) == [2, 0, 1, 2, 1]  # the newest step had grown
    assert reader.asked[1:] == [(3, 6)]


def test_nothing_is_remembered_that_may_be_rolled_back(log: Log) -> None:
    reader = Reader(log)
    fill(log, 0, 1, 2)
    assert reader.over(0, 2) == reader.over(0, 2) == [1, 1, 1]
    assert reader.asked == [(0, 3), (0, 3)]


def test_it_is_bounded_and_what_is_forgotten_is_read_again(
    transactional_db: None, log: Log
) -> None:
    reader = Reader(log, most=2)
    fill(log, *range(6))
    assert reader.over(0, 5) == [1] * 6
    (known,) = reader.steps._known.values()
    assert len(known) == 2
    assert reader.over(0, 5) == [1] * 6
