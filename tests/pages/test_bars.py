"""Remembered bars say the same as counting anew."""

from __future__ import annotations

import pytest

from apps.eventlog.queries.counts import histograms
from apps.pages.queries import bars as remembered
from apps.pages.queries.bars import bars
from apps.pages.windows import Window, window
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope
from tests.pages.conftest import SECOND

pytestmark = pytest.mark.django_db(transaction=True)
TEXTS = ["", "type:order.placed", "type:order.placed,paid -source:x"]


@pytest.fixture(autouse=True)
def _forget() -> None:
    remembered._known.clear()


def grow(log: Log, start: int, count: int) -> None:
    for n in range(start, start + count):
        at = NOON + n * 700_000
        events = [envelope(type="paid" if n % 3 else "order.placed", time=at)]
        if n % 5 == 0:
            events.append(delivery("email", "failed", cause=1, time=at))
        log.append(*events, now=at)


def anew(log: Log, shown: Window) -> list[list[tuple[int, int, int, int]]]:
    found = histograms(log.line, start=shown.start, end=shown.end, bins=shown.bins, texts=TEXTS)
    return [[(b.position, b.time, b.count, b.failed) for b in one] for one in found]


def test_it_agrees_while_the_log_grows(transactional_db: None, log: Log) -> None:
    for start in range(0, 120, 7):
        grow(log, start, 7)
        edge = log.line.log_time or 0
        for shown in (window(NOON, edge), Window(NOON, edge // SECOND * SECOND + SECOND, SECOND)):
            found = bars(log.line, shown, *TEXTS)
            assert [[(b.time, b.count, b.failed) for b in one] for one in found] == [
                [b[1:] for b in one] for one in anew(log, shown)
            ]
            # A bar before which nothing came has the position of the first event after it.
            assert [b.position for b in found[0]][:-1] == [b[0] for b in anew(log, shown)[0]][:-1]


def test_only_the_edge_is_counted_anew(
    transactional_db: None, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(log, 0, 50)
    shown = window(NOON, (log.line.log_time or 0) + 10 * SECOND)
    bars(log.line, shown, "")
    asked: list[int] = []

    def counting(line: object, *, start: int, end: int, bins: int, texts: object) -> object:
        asked.append(bins)
        return histograms(line, start=start, end=end, bins=bins, texts=texts)  # type: ignore[arg-type]

    monkeypatch.setattr(remembered, "histograms", counting)
    bars(log.line, shown, "")
    assert asked
    assert asked[0] < shown.bins
    past = Window(shown.start, shown.start + 10 * shown.step, shown.step)
    asked.clear()
    bars(log.line, past, "")
    assert not asked


def test_what_may_still_change_is_not_remembered(transactional_db: None, log: Log) -> None:
    grow(log, 0, 30)
    shown = Window(NOON, NOON + 10 * SECOND, SECOND)
    text = "handled-by:payments"
    (before,) = bars(log.line, shown, text)
    assert sum(b.count for b in before) == 0
    log.append(delivery("payments", cause=1), now=NOON + 60 * SECOND)
    (after,) = bars(log.line, shown, text)
    assert sum(b.count for b in after) == 1


def test_a_query_that_cannot_be_read_raises(transactional_db: None, log: Log) -> None:
    from apps.eventlog.errors import QueryError

    grow(log, 0, 3)
    with pytest.raises(QueryError):
        bars(log.line, Window(NOON, NOON + SECOND, SECOND), "typ:x")


def test_memory_is_bounded(transactional_db: None, log: Log) -> None:
    grow(log, 0, 3)
    for n in range(remembered.SERIES + 20):
        bars(log.line, Window(NOON, NOON + SECOND, SECOND), f"type:t{n}")
    assert len(remembered._known) <= remembered.SERIES
