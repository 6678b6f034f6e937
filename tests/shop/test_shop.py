from __future__ import annotations

from itertools import pairwise

import pytest

from examples.shop.shop import Shop
from tests.shop.conftest import EDGE, MINUTE, entries
from tests.shop.past import Past


def test_it_works(past: Past) -> None:
    assert len(past.all) > 50_000
    assert len(past.all) / (45 * 60) == pytest.approx(40, rel=0.1)


def test_the_same_seed_and_start_give_the_same_bytes() -> None:
    assert entries(minutes=20, rate=10) == entries(minutes=20, rate=10)


def test_another_seed_gives_another_shop() -> None:
    assert entries(minutes=1, seed=1) != entries(minutes=1, seed=2)


def test_time_in_small_steps_gives_the_same_bytes() -> None:
    shop = Shop(seed=7, start=EDGE - MINUTE, edge=EDGE)
    while shop.now < EDGE:
        shop.run(min(shop.now + 137, EDGE))

    assert shop.take() == entries(minutes=1)


def test_everything_comes_in_the_order_it_happened(past: Past) -> None:
    times = [entry.get("time") or entry["finished_at"] for _, entry in past.all]

    assert all(earlier <= later for earlier, later in pairwise(times))


def test_ids_are_unique(past: Past) -> None:
    assert len(past.by_id) == len(past.events)


def test_causes_are_in_the_log_before_their_effects(past: Past) -> None:
    place = {event["id"]: n for n, event in enumerate(past.events)}
    caused = [event for event in past.events if "causationid" in event]

    assert len(caused) > len(past.events) * 0.8
    assert all(place[event["causationid"]] < place[event["id"]] for event in caused)


def test_an_effect_is_in_the_flow_of_its_cause(past: Past) -> None:
    for event in past.events:
        if "causationid" in event and event["type"] != "ReorderStock":
            assert event["correlationid"] == past.by_id[event["causationid"]]["correlationid"]


def test_a_flow_has_one_root(past: Past) -> None:
    for flow, events in past.by_flow.items():
        if flow:
            ids = {event["id"] for event in events}
            assert sum(event.get("causationid") not in ids for event in events) == 1


def test_every_delivery_is_of_an_event_before_it(past: Past) -> None:
    for delivery in past.deliveries:
        event = past.by_id[delivery["event"]["id"]]
        assert event["source"] == delivery["event"]["source"]
        assert event["time"] < delivery["started_at"] <= delivery["finished_at"]


def test_attempts_are_counted_from_one_and_told_once(past: Past) -> None:
    for reports in past.by_event.values():
        for subscriber in {report["subscriber"] for report in reports}:
            attempts = [r["attempt"] for r in reports if r["subscriber"] == subscriber]
            assert attempts == list(range(1, len(attempts) + 1))


def test_merged_streams_make_sense() -> None:
    shop = Shop(seed=7, start=EDGE - 20 * MINUTE, edge=EDGE)
    shop.run(EDGE)
    state = shop.host.entities.state

    order = state("order-1042")
    assert (order["status"], order["captured"], order["due"]) == ("shipped", 129.00, 0.0)
    assert order["mails"] == {"order received": 1, "receipt": 2}
    assert order["shipment"] == "shipment-771"
    assert state("payment-9f22")["status"] == "captured"
    assert state("shipment-771")["status"] == "with carrier"
    for product in shop.products:
        stock = state(f"stock-{product.sku}")
        held = sum(reservation["qty"] for reservation in stock["reservations"])
        assert stock["reserved"] == held
        assert stock["available"] == stock["on_hand"] - stock["reserved"]


def test_the_present_goes_on_where_the_past_ends() -> None:
    shop = Shop(seed=7, start=EDGE - 20 * MINUTE, edge=EDGE, rate=10)
    shop.run(EDGE + 2 * MINUTE)
    both = Past(shop.take())

    assert len(both.by_id) == len(both.events)
    assert [e for e in both.all if e[1].get("time", "") <= "2026-05-12T14:41:50"] != []
    orders = [event["subject"] for event in both.by_type["OrderPlaced"]]
    assert len(set(orders)) == len(orders)


def test_a_shop_without_a_past_has_numbers_of_its_own() -> None:
    early = Past(run_live(EDGE))
    later = Past(run_live(EDGE + 5 * MINUTE))
    with_past = Past(entries(minutes=20, rate=10))

    for one, other in ((early, later), (early, with_past), (later, with_past)):
        for type in ("OrderPlaced", "PaymentAuthorized", "ShipmentCreated", "CustomerRegistered"):
            mine, theirs = (
                {event["subject"] for event in each.by_type[type]} for each in (one, other)
            )
            assert mine
            assert not mine & theirs
        assert not (set(one.by_flow) & set(other.by_flow)) - {""}
        assert not set(one.by_id) & set(other.by_id)


def test_a_shop_without_a_past_leaves_the_planted_stock_alone() -> None:
    past = Past(run_live(EDGE))

    assert past.stream("stock-SKU7") == []
    assert len(past.by_type["StockListed"]) == 59


def test_after_being_closed_it_goes_on() -> None:
    shop = Shop(seed=7, start=EDGE, edge=EDGE)
    shop.run(EDGE + MINUTE)
    shop.take()
    shop.close(60 * MINUTE)
    shop.run(EDGE + 62 * MINUTE)
    past = Past(shop.take())

    assert all(event["time"] > "2026-05-12T15:42:50" for event in past.events)
    assert 0.5 < len(past.all) / (40 * 60) < 1.5


def run_live(start: int) -> list[tuple[str, str]]:
    shop = Shop(seed=7, start=start, edge=start)
    shop.run(start + 5 * MINUTE)
    return shop.take()
