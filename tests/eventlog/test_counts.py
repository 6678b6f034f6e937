from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from apps.eventlog.envelope import Recorded
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import counts, marks, plan, rollups, scan
from apps.eventlog.queries.counts import Bin, facets, histogram, histograms
from apps.eventlog.queries.edges import positions_before
from tests.conftest import Log
from tests.eventlog.histories import (
    LANE_TERMS,
    everything,
    failures,
    forked,
    history,
    matching,
    queries,
)
from tests.factories import NOON, delivery, envelope

pytestmark = pytest.mark.django_db

MINUTE = 60_000_000


@pytest.fixture(params=["original", "fork", "fork of a fork"])
def a_line(request: pytest.FixtureRequest) -> Line:
    """A line over some hours, alone or with its past in others that went on."""
    line = history(count=240)
    if request.param != "original":
        line = forked(line, base=130)
    if request.param == "fork of a fork":
        line = forked(line, base=170, seed=9)
    return line


def bars(found: list[Bin]) -> list[tuple[int, int]]:
    return [(bin.count, bin.failed) for bin in found]


def expected_bars(events: list[Recorded], edges: list[int]) -> list[tuple[int, int]]:
    inside = [[e for e in events if low <= e.log_time < high] for low, high in pairwise(edges)]
    return [(len(some), failures(some)) for some in inside]


def test_it_works(log: Log) -> None:
    log.append(
        envelope(time=NOON), envelope(time=NOON + 5), delivery("email", "failed", time=NOON + 10)
    )
    assert histogram(log.line, start=NOON, end=NOON + 12, bins=2) == [
        Bin(position=1, time=NOON, count=2, failed=0),
        Bin(position=3, time=NOON + 6, count=1, failed=1),
    ]
    assert facets(log.line, "") == {
        "type": [("order.placed", 2), ("failed", 1)],
        "source": [("/web", 2), ("email", 1)],
        "channel": [("", 3)],
        "kind": [("event", 2), ("delivery", 1)],
        "outcome": [("failed", 1)],
        "subscriber": [("email", 1)],
    }


def test_a_time_is_the_number_of_events_before_it(a_line: Line) -> None:
    events = everything(a_line)
    times = [e.log_time + d for e in events for d in (-1, 0, 1, MINUTE)]
    times += [events[0].log_time // MINUTE * MINUTE, 0, -(10**17), 10**18]
    random.Random(3).shuffle(times)
    assert positions_before(a_line, times) == [
        sum(e.log_time < time for e in events) for time in times
    ]


@pytest.mark.parametrize("bins", [1, 2, 7, 60, 299])
def test_bars_are_what_counting_every_event_gives(a_line: Line, bins: int) -> None:
    events = everything(a_line)
    first, last = events[0].log_time, events[-1].log_time
    rng = random.Random(bins)
    spans = [(first, last + 1), (first - 10**10, last + 10**10), (first + 1, first + 2)]
    spans += [sorted(rng.sample(range(first, last), 2)) for _ in range(4)]  # type: ignore[misc]
    texts = ["", "type:OrderPlaced", "-type:OrderPlaced", "outcome:failed", "data.total>90"]
    for start, end in spans:
        for text in texts:
            found = histogram(a_line, start=start, end=end, bins=bins, text=text)
            edges = [bin.time for bin in found] + [end]
            assert edges[0] == start
            assert len(found) == min(bins, end - start)
            assert bars(found) == expected_bars(matching(a_line, text), edges), (text, start, end)
            assert found.exact


def test_several_queries_over_one_span_are_each_as_alone(a_line: Line) -> None:
    span = {"start": NOON - 5, "end": everything(a_line)[-1].log_time, "bins": 31, "upto": 200}
    texts = ["", "type:OrderPlaced", "-kind:delivery", "T3", "stream:order-3"]
    alone = [histogram(a_line, text=text, **span) for text in texts]
    assert histograms(a_line, texts=texts, **span) == alone


def test_the_widths_of_bars_are_equal_to_half_a_minute(a_line: Line) -> None:
    events = everything(a_line)
    start, end = events[0].log_time, events[-1].log_time
    for bins in (2, 3, 17, 100):
        width = (end - start) / bins
        found = [bin.time for bin in histogram(a_line, start=start, end=end, bins=bins)]
        off = [abs(time - start - n * width) for n, time in enumerate(found)]
        assert max(off) <= (MINUTE // 2 if width >= 60 * MINUTE else 1)


def test_counts_sum_to_the_positions_asked_for(a_line: Line) -> None:
    events = everything(a_line)
    rng = random.Random(8)
    for _ in range(30):
        low, high = sorted(rng.sample(range(1, a_line.head + 1), 2))
        inside = events[low - 1 : high]
        for text in ("", "-kind:delivery", "-type:OrderPaid", "T3"):
            found = histogram(
                a_line, start=inside[0].log_time, end=inside[-1].log_time + 1, bins=11,
                after=low - 1, upto=high, text=text,
            )  # fmt: skip
            wanted = [e for e in matching(a_line, text, at=high) if e.position >= low]
            assert sum(bin.count for bin in found) == len(wanted)
            assert sum(bin.failed for bin in found) == failures(wanted)


def test_a_bar_begins_at_the_position_of_its_first_event(a_line: Line) -> None:
    events = everything(a_line)
    start, end = events[0].log_time - 5, events[-1].log_time + 10**9
    for bin in histogram(a_line, start=start, end=end, bins=40):
        later = [e.position for e in events if e.log_time >= bin.time]
        assert bin.position == (later[0] if later else a_line.head)


def test_an_empty_span_or_line_has_no_bars(line: Line, log: Log) -> None:
    assert bars(histogram(line, start=0, end=10, bins=2)) == [(0, 0), (0, 0)]
    log.add()
    for start, end, bins in [(5, 5, 3), (6, 5, 3), (0, 10, 0), (0, 10, -1)]:
        assert histogram(log.line, start=start, end=end, bins=bins) == []
    assert len(histogram(log.line, start=0, end=10**9, bins=10**6)) == counts.BINS


@pytest.mark.parametrize("hours", [1, 40])
def test_whole_hours_and_minutes_come_from_the_rollups(
    log: Log, hours: int, django_assert_max_num_queries: Any
) -> None:
    log.append(
        *(envelope(time=NOON + n * MINUTE * hours, type="AB"[n % 2]) for n in range(120)),
        now=NOON + 10**12,
    )
    line = log.line
    with django_assert_max_num_queries(20):
        found = histogram(line, start=NOON, end=NOON + 120 * MINUTE * hours, bins=60, text="type:A")
    assert bars(found) == [(1, 0)] * 60


@pytest.mark.parametrize("text", ["", *LANE_TERMS, "at:12:00..12:01 kind:event", "data.total>90"])
def test_facets_are_what_counting_every_event_gives(text: str) -> None:
    line = forked(history(count=150), base=90)
    for at in (None, 0, 1, 45, 90, 91, 140):
        events = matching(line, text, at=at)
        found = facets(line, text, at=at)
        deliveries = [e for e in events if e.kind == "delivery"]
        assert {name: dict(values) for name, values in found.items()} == {
            "type": Counter(e.type for e in events),
            "source": Counter(e.source for e in events),
            "channel": Counter(e.channel for e in events),
            "kind": Counter(e.kind for e in events),
            "outcome": Counter(e.type for e in deliveries),
            "subscriber": Counter(e.source for e in deliveries),
        }
        assert found.exact
        for values in found.values():
            assert values == sorted(values, key=lambda each: (-each[1], each[0]))


def test_widened_facets_offer_the_other_values_of_a_field() -> None:
    line = history(count=150)
    found = facets(line, "type:OrderPlaced source:web", widen=True)
    assert dict(found["type"]) == Counter(e.type for e in matching(line, "source:web"))
    assert dict(found["source"]) == Counter(e.source for e in matching(line, "type:OrderPlaced"))
    assert found["kind"] == facets(line, "type:OrderPlaced source:web")["kind"]


def test_facets_are_bounded(log: Log) -> None:
    log.append(*(envelope(type=f"T{n:03}") for n in range(130)))
    found = facets(log.line, "")
    assert len(found["type"]) == counts.VALUES
    assert found["type"][0] == ("T000", 1)


def test_what_is_not_counted_to_the_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "ROWS", 10)
    monkeypatch.setattr(scan, "LARGEST_WITH_DATA", 10)
    line = history(count=100)
    some = facets(line, "data.total>=0")
    bins = histogram(line, start=0, end=NOON * 2, bins=1, text="data.total>=0")
    expected = sum(e.position >= some.scanned_to for e in matching(line, "data.total>=0"))  # type: ignore[operator]
    assert (some.exact, bins.exact) == (False, False)
    assert some.scanned_to == bins.scanned_to == 91
    assert sum(n for _, n in some["type"]) == bins[0].count == expected


def test_an_error_says_where(log: Log) -> None:
    for ask in (
        lambda: facets(log.line, "a nope:3"),
        lambda: histogram(log.line, start=0, end=9, bins=1, text="a nope:3"),
    ):
        with pytest.raises(QueryError) as caught:
            ask()
        assert caught.value.column == 2


def test_queries_of_every_kind_have_facets_and_bars() -> None:
    line = forked(history(count=80), base=50, count=30)
    for text in queries(random.Random(4), 30):
        expected = len(matching(line, text))
        assert sum(n for _, n in facets(line, text)["kind"]) == expected, text
        found = histogram(line, start=0, end=2 * NOON, bins=3, text=text)
        assert sum(bin.count for bin in found) == expected, text


def test_ranges_far_apart_are_tallied_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "BATCH", 3)
    line = history(count=200)
    monkeypatch.setattr(marks, "NEAR", 0)
    ranges = [(n, n + 2) for n in range(0, 200, 5)]
    known = plan.plan(line, "").known
    found = rollups.tally(line, ranges, lanes=known, failing=frozenset())
    assert [sum(n for n, _ in some.values()) for some in found] == [2] * len(ranges)
