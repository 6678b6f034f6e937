from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, pairwise

import pytest

from apps.live import order
from apps.live.counters import MOST, SECOND, WINDOW, Counters, Lane, Route
from apps.live.diagram import VIEWS, draw, pace
from apps.live.flow import Seen, flow, percentile

PLACED, PAID, TOLD, FAILED, ANSWER, BEHIND, SPAN = range(1, 8)
LANES = {
    PLACED: Lane("event", "OrderPlaced", "web", "orders"),
    PAID: Lane("event", "OrderPaid", "payments", "shop"),
    TOLD: Lane("delivery", "handled", "payments", ""),
    FAILED: Lane("delivery", "failed", "payments", ""),
    ANSWER: Lane("response", "acquire", "payments", ""),
    BEHIND: Lane("progress", "progress", "audit", "orders"),
    SPAN: Lane("span", "SELECT", "payments", ""),
}
T0 = 1_800_000_000 * SECOND
TO_PAYMENTS = Route("orders", "payments")


class Feed:
    """Feeds counters, one event after the other."""

    def __init__(self) -> None:
        self.counters = Counters(LANES)
        self._positions: Iterator[int] = count(1)

    def add(self, lane: int, *, at: float = 0.0, cause: int | None = None, **told: object) -> int:
        position = next(self._positions)
        data = json.dumps(told).encode() if told or lane in (TOLD, FAILED, BEHIND) else None
        tick = (position, lane, T0 + round(at * SECOND), cause, data)
        self.counters.take([tick], {})
        return position


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_rates_are_those_of_the_last_ten_seconds(feed: Feed) -> None:
    for tenth in range(300):
        feed.add(PLACED, at=tenth / 10)
    (placed,) = flow(feed.counters).publishing
    assert placed[:4] == ("web", "orders", "OrderPlaced", 10.0)
    assert flow(feed.counters, now=T0 + 34 * SECOND).types() == {"OrderPlaced": pytest.approx(5.0)}
    assert flow(feed.counters, now=T0 + 50 * SECOND).rate == 0


def test_what_a_service_did_on_the_way_is_no_event(feed: Feed) -> None:
    feed.add(PLACED, at=0)
    feed.add(SPAN, at=1)
    assert set(flow(feed.counters).types()) == {"OrderPlaced"}


def test_a_log_that_has_just_begun_is_not_averaged_over_time_before_it(feed: Feed) -> None:
    for n in range(8):
        feed.add(PLACED, at=n / 4)
    assert flow(feed.counters).rate == pytest.approx(4.0)


def test_ways_go_from_the_channel_of_what_was_delivered(feed: Feed) -> None:
    for n in range(10):
        placed = feed.add(PLACED, at=n)
        feed.add(TOLD, at=n, cause=placed, started_at="2026-01-01T00:00:00Z",
                 finished_at="2026-01-01T00:00:00.250Z")  # fmt: skip
    (told,) = flow(feed.counters).telling
    assert told.rate == pytest.approx(1.0)
    assert told[3:] == (0, 0, 250_000)
    assert told[:2] == TO_PAYMENTS


def test_failures_count_for_a_minute_and_are_not_answers(feed: Feed) -> None:
    placed = feed.add(PLACED)
    feed.add(TOLD, cause=placed)
    placed = feed.add(PLACED, at=1)
    feed.add(FAILED, at=1, cause=placed)
    assert flow(feed.counters).failed == 1
    assert feed.counters.behind() == {TO_PAYMENTS: 1}
    feed.add(TOLD, at=2, cause=placed)
    assert feed.counters.behind() == {TO_PAYMENTS: 0}
    assert flow(feed.counters, now=T0 + 100 * SECOND).failed == 0


def test_the_same_answer_twice_counts_once(feed: Feed) -> None:
    first, _second = feed.add(PLACED), feed.add(PLACED)
    feed.add(TOLD, cause=first)
    feed.add(TOLD, cause=first)
    assert feed.counters.behind() == {TO_PAYMENTS: 1}


def test_what_the_bus_says_of_a_group_counts(feed: Feed) -> None:
    feed.add(BEHIND, lag=1204)
    assert feed.counters.behind() == {Route("orders", "audit"): 1204}


def test_only_a_window_is_kept(feed: Feed) -> None:
    for n in range(WINDOW * 3):
        placed = feed.add(PLACED, at=n)
        feed.add(TOLD, at=n, cause=placed)
    assert len(feed.counters.seconds) == WINDOW
    assert feed.counters.behind() == {TO_PAYMENTS: 0}
    ticks = [(n, PLACED, T0 + 200 * SECOND, None, None) for n in range(1000, 1000 + 2 * MOST)]
    feed.counters.take(ticks, {})
    assert len(feed.counters._recent) == MOST


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"started_at":1}', b"\xff", b"[" * 9999])
def test_a_report_that_cannot_be_read_is_counted_all_the_same(data: bytes) -> None:
    counters = Counters(LANES)
    counters.take([(1, TOLD, T0, None, data)], {})
    assert flow(counters).telling[0].subscriber == "payments"


def test_no_events() -> None:
    nothing = flow(Counters(LANES))
    assert (nothing.rate, nothing.publishing, nothing.telling) == (0, [], [])
    assert draw(nothing, []).nodes == []


def test_percentiles() -> None:
    assert percentile([], 0.99) is None
    assert percentile([3], 0.99) == 3
    assert percentile(list(range(100)), 0.5) == 50


def shop(feed: Feed) -> Counters:
    for n in range(20):
        placed = feed.add(PLACED, at=n / 2)
        feed.add(FAILED if n == 19 else TOLD, at=n / 2, cause=placed)
        feed.add(PAID, at=n / 2, cause=placed)
        feed.add(ANSWER, at=n / 2)
    return feed.counters


@pytest.mark.parametrize("view", VIEWS)
def test_the_diagram_shows_every_way(feed: Feed, view: str) -> None:
    picture = draw(flow(shop(feed)), ["web", "payments"], view=view)
    assert [node.service for node in picture.nodes] == ["web", "payments"]
    assert [rail.channel for rail in picture.rails] == ["orders", "shop"]
    ways = {(t.service, t.kind, tuple(t.joints)) for t in picture.trunks}
    orders, payments = (rail.y for rail in picture.rails)
    assert ways == {
        ("web", "pub", (orders,)), ("payments", "sub", (orders,)), ("payments", "pub", (payments,))
    }  # fmt: skip
    assert "1 failed" in {label.text for label in picture.labels}
    assert {"OrderPlaced", "OrderPaid"} <= {label.text for label in picture.labels}
    assert picture.nodes[1].look == "fail"


def test_the_layout_does_not_depend_on_rates(feed: Feed) -> None:
    counters = shop(feed)
    now = draw(flow(counters), ["web", "payments"])
    later = draw(flow(counters, now=T0 + 40 * SECOND), ["web", "payments"])
    assert [n.x for n in now.nodes] == [n.x for n in later.nodes]
    assert [r.y for r in now.rails] == [r.y for r in later.rails]
    assert {t.pace for t in later.trunks} == {""}


def test_who_rests_keeps_a_place(feed: Feed) -> None:
    feed.add(PLACED)
    seen = Seen({PLACED: 40, PAID: 7, ANSWER: 7}, {TO_PAYMENTS})
    resting = flow(feed.counters, seen=seen)
    assert resting.types() == {"OrderPlaced": 1.0, "OrderPaid": 0.0}
    assert [(p.type, p.many) for p in resting.publishing] == [("OrderPaid", 7), ("OrderPlaced", 40)]
    assert [(t.channel, t.subscriber, t.rate) for t in resting.telling] == [
        ("orders", "payments", 0)
    ]
    alone = draw(flow(feed.counters), ["web"])
    assert [node.service for node in alone.nodes] == ["web"]
    picture = draw(resting, ["web", "payments"])
    assert [node.service for node in picture.nodes] == ["web", "payments"]
    assert [t.pace for t in picture.trunks if t.service == "payments"] == ["", ""]


def test_the_types_written_are_those_there_are_most_of_in_the_order_they_came() -> None:
    lanes = {n: Lane("event", f"T{n}", "web", "orders") for n in range(1, 8)}
    counters = Counters(lanes)
    counters.take([(n, n, T0, None, None) for n in lanes], {})
    many = {n: 100 + n for n in lanes}
    drawn = flow(counters, seen=Seen(many, ()))
    assert [each.text for each in draw(drawn, []).labels] == ["T4", "T5", "T6", "T7", "3 more"]
    odd = draw(drawn, [], odd={"T1"})
    assert [each.text for each in odd.labels] == ["T1", "T5", "T6", "T7", "3 more"]


def test_many_services_and_types_are_bounded() -> None:
    lanes = {
        n: Lane("event", f"Type{n}", f"service{n % 60}", f"channel{n % 50}") for n in range(1, 600)
    }
    counters = Counters(lanes)
    counters.take([(n, n, T0, None, None) for n in lanes], {})
    picture = draw(flow(counters), [])
    assert len(picture.nodes) == len(picture.rails) == 24
    assert picture.left_out == 36


def test_dots_move_faster_where_more_goes_on() -> None:
    assert [pace(rate) for rate in (0, 0.01, 4, 12, 1000)] == ["", "p-8", "p-7", "p-3", "p-1"]


def test_services_go_from_where_things_begin() -> None:
    lanes = {
        1: Lane("event", "StockListed", "inventory", ""), 2: Lane("event", "Placed", "web", ""),
        3: Lane("event", "Paid", "payments", ""), 4: Lane("event", "Mailed", "email", ""),
        5: Lane("delivery", "handled", "audit", ""),
    }  # fmt: skip
    ticks = [(1, 1, 0, None, None)]
    for n in range(2, 20, 4):
        ticks += [(n, 2, 0, None, None), (n + 1, 3, 0, n, None), (n + 2, 4, 0, n + 1, None)]  # type: ignore[list-item]
    assert order.hops(ticks, lanes) == ["web", "payments", "email", "inventory", "audit"]
    assert order.hops([], lanes) == ["inventory", "web", "payments", "email", "audit"]


def test_boxes_never_overlap_at_the_width_a_drawing_asks_for(feed: Feed) -> None:
    for services in (1, 2, 5, 8, 11, 24):
        lanes = {
            n: Lane("event", "A" * (5 + 17 * (n % 2)), f"s{n}", "orders") for n in range(services)
        }
        counters = Counters(lanes)
        counters.take([(n + 1, n, T0, None, None) for n in range(services)], {})
        picture = draw(flow(counters), [])
        wide = 100 * picture.wide or picture.width
        assert wide >= picture.width
        at = [float(node.x[:-1]) * wide / 100 for node in picture.nodes]
        assert all(b - a > 116 for a, b in pairwise(at))


def test_the_flow_of_one_service_is_what_it_has_part_in(feed: Feed) -> None:
    """Web says on orders, payments hears that and says on shop, where nobody listens."""
    placed = feed.add(PLACED, at=0)
    feed.add(TOLD, at=0, cause=placed)
    feed.add(PAID, at=1, cause=placed)
    whole = flow(feed.counters)
    assert whole.of("payments") == whole
    web = whole.of("web")
    assert [p.type for p in web.publishing] == ["OrderPlaced"]
    assert [t.subscriber for t in web.telling] == ["payments"]
    assert whole.of("nobody").services() == []
    nodes = {node.service: node for node in draw(web, [], whole=whole).nodes}
    assert nodes["payments"].rate == draw(whole, []).nodes[0].rate > 0
