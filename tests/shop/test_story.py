"""What README.md says is planted, found in the past the shop makes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from examples.shop.services import payments_v2_13
from tests.shop.conftest import EDGE, entries
from tests.shop.past import Json, Past

FLOW = "c-7f3a91"
EDGE_TIME = datetime.fromtimestamp(EDGE / 1000).astimezone()
DEPLOYED = EDGE_TIME - timedelta(minutes=17, seconds=32)
ODD_FROM = EDGE_TIME - timedelta(seconds=98)


def time(event: Json) -> datetime:
    return datetime.fromisoformat(event.get("time") or event["finished_at"])


def after(event: Json, cause: Json) -> float:
    return (time(event) - time(cause)).total_seconds()


def test_the_story_begins_where_the_design_has_it(past: Past) -> None:
    root = past.flow(FLOW)[0]

    assert (root["type"], root["subject"]) == ("OrderPlaced", "order-1042")
    assert root["time"] == "2026-05-12T14:32:04.112Z"
    assert (root["evdebugchannel"], root["evdebugpartition"]) == ("orders", "3")
    assert (root["data"]["total"], root["data"]["lines"][0]["sku"]) == (129.00, "SKU7")


def test_payments_captures_twice(past: Past) -> None:
    (root,) = past.flow(FLOW, "OrderPlaced")
    captured = past.flow(FLOW, "PaymentCaptured")

    assert past.outcomes(root, "payments") == [(1, "handled"), (2, "handled")]
    assert [event["subject"] for event in captured] == ["payment-9f21", "payment-9f22"]
    assert sum(event["data"]["amount"] for event in captured) == 258.00
    assert root["data"]["total"] == 129.00


def test_it_is_a_redelivery_of_what_was_not_committed(past: Past) -> None:
    (root,) = past.flow(FLOW, "OrderPlaced")
    (left,) = [e for e in past.by_type["ConsumerLeft"] if e["subject"] == "group-payments"]
    first, second = past.flow(FLOW, "PaymentAuthorized")

    where = [root["evdebugpartition"], root["sequence"]]
    assert [left["data"]["partition"], left["data"]["offset"]] == where
    assert time(first) < time(left) < time(second)
    assert 2.7 < after(left, root) < 3.2


def test_no_key_tells_the_provider_that_it_is_the_same_payment(past: Past) -> None:
    calls = [e["data"] for e in past.by_flow[FLOW] if e["type"] == "acquire/authorize"]

    assert calls[0]["request"] == calls[1]["request"]
    assert calls[0]["request"]["idempotency_key"] is None
    assert calls[0]["response"]["payment"] != calls[1]["response"]["payment"]


def test_stock_goes_below_zero_there_and_nowhere_else(past: Past) -> None:
    stocks = [e for e in past.events if e["type"].startswith("Stock")]
    below = [e for e in stocks if e["data"]["available"] < 0]
    reserved = past.flow(FLOW, "StockReserved")

    assert [e["data"]["available"] for e in reserved] == [0, -1]
    assert below == reserved[1:]
    assert reserved[1]["causationid"] == past.flow(FLOW, "PaymentCaptured")[1]["id"]


def test_the_stock_has_the_history_the_design_shows(past: Past) -> None:
    events = past.stream("stock-SKU7")
    last = events[-1]["data"]

    assert Counter(e["type"] for e in events) == {
        "StockListed": 1,
        "StockReceived": 1,
        "StockReserved": 9,
        "StockReleased": 5,
    }
    assert [e["data"]["version"] for e in events] == list(range(1, 17))
    levels = [e["data"]["available"] for e in events if e["type"] == "StockReserved"]
    assert levels == [7, 6, 5, 4, 3, 2, 1, 0, -1]
    assert (last["on_hand"], last["available"], last["reserved"]) == (3, -1, 4)
    assert [held["payment"] for held in last["reservations"][2:]] == [
        "payment-9f21",
        "payment-9f22",
    ]


def test_orders_skips_the_second_capture(past: Past) -> None:
    first, second = past.flow(FLOW, "PaymentCaptured")

    assert past.outcomes(first, "orders") == [(1, "handled")]
    assert past.outcomes(second, "orders") == [(1, "skipped")]
    assert len(past.flow(FLOW, "OrderPaid")) == 1


def test_the_customer_gets_two_receipts(past: Past) -> None:
    mails = [e["data"] for e in past.flow(FLOW, "EmailSent")]

    assert [m["mail"]["template"] for m in mails] == ["order received", "receipt", "receipt"]
    assert mails[-1]["mails"] == {"receipt": 2}


def test_the_shipment_is_slow_and_most_are_not(past: Past) -> None:
    reserved, (shipped,) = past.flow(FLOW, "StockReserved"), past.flow(FLOW, "OrderShipped")
    took = sorted(
        after(event, past.by_id[event["causationid"]]) for event in past.by_type["OrderShipped"]
    )

    assert shipped["causationid"] == reserved[0]["id"]
    assert 4.0 < after(shipped, reserved[0]) < 5.5
    assert took[len(took) // 2] == pytest.approx(0.61, abs=0.08)
    assert took[len(took) * 99 // 100] == pytest.approx(1.90, abs=0.35)
    assert past.outcomes(reserved[1], "shipping") == [(1, "skipped")]
    assert {e["subject"] for e in past.flow(FLOW) if "Shipment" in e["type"]} == {"shipment-771"}


def test_inventory_stays_silent_because_of_two_reservations(past: Past) -> None:
    (shipped,) = past.flow(FLOW, "OrderShipped")

    assert past.outcomes(shipped, "inventory") == [(1, "handled")]
    assert past.flow(FLOW, "StockReleased") == []


def test_elsewhere_inventory_answers_but_for_one_in_a_hundred(past: Past) -> None:
    answered = {e["causationid"] for e in past.by_type["StockReleased"]}
    silent = [e for e in past.by_type["OrderShipped"] if e["id"] not in answered]
    done = [e for e in silent if past.outcomes(e, "inventory")]

    assert 0.005 < len(done) / len(past.by_type["OrderShipped"]) < 0.02


def test_the_tracking_mail_is_dead_lettered(past: Past) -> None:
    (shipped,) = past.flow(FLOW, "OrderShipped")
    reports = [d for d in past.by_event[shipped["id"]] if d["subscriber"] == "email"]

    assert [(d["attempt"], d["outcome"]) for d in reports] == [
        (1, "failed"),
        (2, "failed"),
        (3, "dead_lettered"),
    ]
    assert {d["error"] for d in reports} == {"451 4.7.1 Greylisted"}
    assert 3.0 < after(reports[2], shipped) < 4.5


def test_payments_was_deployed_before(past: Past) -> None:
    (deploy,) = [e for e in past.by_type["ServiceDeployed"] if e["source"] == "/payments"]

    assert time(deploy) == DEPLOYED
    assert (deploy["data"]["version"], deploy["data"]["previous"]) == ("v2.14", "v2.13")
    assert deploy["data"]["previous"] == payments_v2_13.VERSION


def test_captures_come_three_times_as_often_in_the_end(past: Past) -> None:
    captured = past.by_type["PaymentCaptured"]
    odd = [e for e in captured if time(e) >= ODD_FROM]
    placed = [e for e in past.by_type["OrderPlaced"] if time(e) >= ODD_FROM]
    usual = len(captured) - len(odd)

    factor = len(odd) / 98 / (usual / (45 * 60 - 98))
    assert 2.6 < factor < 3.6
    assert 0.75 < len(placed) / 98 / (len(past.by_type["OrderPlaced"]) / (45 * 60)) < 1.25
    assert all(e["data"]["captures"] == 1 for e in captured if time(e) < ODD_FROM)
    assert {e["data"]["captures"] for e in odd} > {1, 2, 3}


def test_more_captures_are_not_more_money_or_goods(past: Past) -> None:
    again = [e for e in past.by_type["PaymentCaptured"] if e["data"]["captures"] > 1]
    outcomes = Counter(
        outcome
        for event in again
        for subscriber in ("orders", "inventory", "email")
        for _, outcome in past.outcomes(event, subscriber)
    )

    assert set(outcomes) == {"skipped"}
    paid = Counter(e["subject"] for e in past.by_type["OrderPaid"])
    assert set(paid.values()) == {1}


def test_only_one_order_is_paid_twice(past: Past) -> None:
    payments: dict[str, set[str]] = {}
    for event in past.by_type["PaymentCaptured"]:
        payments.setdefault(event["data"]["order"], set()).add(event["subject"])

    assert [order for order, each in payments.items() if len(each) > 1] == ["order-1042"]


def test_small_faults_are_there_too(past: Past) -> None:
    outcomes = Counter((d["subscriber"], d["outcome"]) for d in past.deliveries)

    for subscriber in ("payments", "inventory", "shipping", "email"):
        assert outcomes[subscriber, "failed"] > 0
    assert 1 < outcomes["email", "dead_lettered"] < 30
    assert {e["data"]["group"] for e in past.by_type["ConsumerLeft"]} >= {"orders", "email"}
    assert 0.02 < len(past.by_type["PaymentFailed"]) / len(past.by_type["OrderPlaced"]) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "rate"), [(1, 40.0), (2, 5.0), (3, 20.0)])
def test_the_story_is_the_same_in_any_shop(seed: int, rate: float) -> None:
    past = Past(entries(minutes=20, seed=seed, rate=rate))

    captured = past.flow(FLOW, "PaymentCaptured")
    assert past.flow(FLOW)[0]["subject"] == "order-1042"
    assert [event["subject"] for event in captured] == ["payment-9f21", "payment-9f22"]
    assert [e["data"]["available"] for e in past.flow(FLOW, "StockReserved")] == [0, -1]
    assert past.flow(FLOW, "StockReleased") == []
    assert {e["subject"] for e in past.flow(FLOW, "ShipmentCreated")} == {"shipment-771"}
    (shipped,) = past.flow(FLOW, "OrderShipped")
    assert past.outcomes(shipped, "email")[-1] == (3, "dead_lettered")
