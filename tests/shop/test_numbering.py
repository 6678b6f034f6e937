from __future__ import annotations

from itertools import islice

import pytest

from examples.shop.numbering import Numbering, TimedNumbering, orders, terminal_of


@pytest.mark.parametrize("before", [0, 5, 42, 43, 2_917, 5_000, 5_001, 80_000])
def test_it_works(before: int) -> None:
    numbers = list(islice(orders(before), before + 20_000))

    assert numbers[before] == 1042
    assert numbers[before + 1] == 1043
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("before", [0, 300, 2_917, 30_000])
def test_the_planted_order_has_the_planted_numbers(before: int) -> None:
    numbering = Numbering(before, earlier_shipments=7)
    payments = []
    for _ in range(before):
        order = int(numbering.order().removeprefix("order-"))
        payments.append(numbering.payment(str(terminal_of(order))))
        numbering.flow()

    assert numbering.order() == "order-1042"
    assert numbering.flow() == "c-7f3a91"
    payments += [numbering.payment("3"), numbering.payment("3")]
    assert payments[-2:] == ["payment-9f21", "payment-9f22"]
    assert len(set(payments)) == len(payments)
    shipments = [numbering.shipment("LEJ2") for _ in range(8)]
    assert shipments[7] == "shipment-771"


def test_terminals_never_meet() -> None:
    numbering = Numbering(100, earlier_shipments=7)
    payments = [numbering.payment(str(n % 6)) for n in range(60_000)]

    assert len(set(payments)) == 60_000


def test_flows_are_unique() -> None:
    numbering = Numbering(100, earlier_shipments=7)

    assert len({numbering.flow() for _ in range(100_000)}) == 100_000


def test_a_later_start_never_meets_an_earlier_one() -> None:
    minute = 60_000
    early = TimedNumbering(1_778_596_910_000, rate=2.0)
    later = TimedNumbering(1_778_596_910_000 + minute, rate=2.0)
    a_minute_of_orders = {early.order() for _ in range(2 * 60)}

    assert later.order() not in a_minute_of_orders
    assert len({early.flow() for _ in range(10_000)}) == 10_000
