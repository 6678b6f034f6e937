from __future__ import annotations

import json

from evdebug.sdk import Event
from examples.shop.host import Delivery
from examples.shop.wire import delivery_line, event_line, timestamp

PLACED = Event(
    "id-1",
    "OrderPlaced",
    "/web",
    "order-1",
    {"total": 129.0, "lines": [{"price": 49.9, "qty": 1}], "name": 'Ida "Ü" <b>'},
    1_778_596_324_112,
    correlation="c-1",
    causation="id-0",
    channel="orders",
    partition="3",
    offset="88412",
    key="order-1",
)


def test_it_works() -> None:
    assert json.loads(event_line(PLACED)) == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "/web",
        "type": "OrderPlaced",
        "subject": "order-1",
        "correlationid": "c-1",
        "causationid": "id-0",
        "evdebugchannel": "orders",
        "partitionkey": "order-1",
        "evdebugpartition": "3",
        "sequence": "88412",
        "time": "2026-05-12T14:32:04.112Z",
        "datacontenttype": "application/json",
        "data": {"total": 129.0, "lines": [{"price": 49.9, "qty": 1}], "name": 'Ida "Ü" <b>'},
    }


def test_money_has_two_digits() -> None:
    line = event_line(PLACED)

    assert '"total":129.00,' in line
    assert '"price":49.90,' in line


def test_what_an_event_does_not_have_is_left_out() -> None:
    bare = Event("id-1", "carrier/labels", "/shipping", "", {}, 0, "response")

    assert set(json.loads(event_line(bare))) == {
        "specversion",
        "id",
        "source",
        "type",
        "evdebugkind",
        "time",
        "datacontenttype",
        "data",
    }


def test_a_delivery() -> None:
    delivery = Delivery(PLACED, "email", 2, "failed", 1_000, 1_250, '451 "later"')

    assert json.loads(delivery_line(delivery)) == {
        "event": {"id": "id-1", "source": "/web"},
        "subscriber": "email",
        "attempt": 2,
        "outcome": "failed",
        "started_at": "1970-01-01T00:00:01.000Z",
        "finished_at": "1970-01-01T00:00:01.250Z",
        "error": '451 "later"',
    }


def test_times_are_right_in_any_order() -> None:
    assert [timestamp(ms) for ms in (1_999, 2_000, 1_001, 61_007)] == [
        "1970-01-01T00:00:01.999Z",
        "1970-01-01T00:00:02.000Z",
        "1970-01-01T00:00:01.001Z",
        "1970-01-01T00:01:01.007Z",
    ]
