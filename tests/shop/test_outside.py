from __future__ import annotations

from random import Random
from typing import Any

from evdebug.sdk import Event
from examples.shop.numbering import TimedNumbering
from examples.shop.outside import HICCUPS, Request, Window, World, every
from examples.shop.timing import Timing

EVENT = Event("id-1", "OrderPlaced", "/web", "order-1", {}, 0)


def a_world(**settings: Any) -> World:
    def no_goods(request: Request, due: int, event: Event) -> None:
        raise AssertionError("nobody ordered goods")

    timing = Timing(Random(2))
    return World(Random(1), timing, TimedNumbering(0, rate=1), no_goods, **settings)


def authorization(order: str = "order-1", **more: Any) -> Request:
    request = {"order": order, "token": "tok_ff", "terminal": "3", "idempotency_key": None}
    return request | more


def mail(order: str = "order-1", to: str = "ada@example.org") -> Request:
    return {"to": to, "order": order, "template": "receipt"}


def ask(world: World, name: str, request: Request, at: int = 0) -> dict[str, Any]:
    return world.answer(name, request, at, EVENT)[0]


def test_it_works() -> None:
    answer, took = a_world().answer("acquire/authorize", authorization(), 0, EVENT)

    assert answer["status"] == 200
    assert answer["payment"].startswith("payment-")
    assert 50 < took < 1_000


def test_the_provider_takes_a_repeat_without_a_key_for_another_payment() -> None:
    world = a_world(calm=frozenset({"order-1"}))
    first, second = (ask(world, "acquire/authorize", authorization()) for _ in range(2))

    assert first["payment"] != second["payment"]


def test_the_provider_gives_the_first_answer_again_to_a_known_key() -> None:
    world = a_world(calm=frozenset({"order-1"}))
    keyed = authorization(idempotency_key="id-1")
    first, second = (ask(world, "acquire/authorize", keyed) for _ in range(2))

    assert first == second


def test_a_bad_card_is_declined() -> None:
    answer = ask(a_world(), "acquire/authorize", authorization(token="tok_07"))

    assert (answer["status"], answer["reason"]) == (402, "card_declined")


def test_failures_are_rare_and_end_after_two() -> None:
    world = a_world()
    runs = []
    for n in range(4_000):
        request = authorization(f"order-{n}")
        failures = 0
        while ask(world, "acquire/authorize", request)["status"] == 504:
            failures += 1
        runs.append(failures)

    share = sum(1 for failures in runs if failures) / len(runs)
    assert max(runs) == 2
    assert 0.5 < share / HICCUPS["acquire/authorize"][0] < 2


def test_calm_orders_and_quiet_times_are_spared() -> None:
    calm = frozenset(f"order-{n}" for n in range(2_000))
    quiet = Window(0, 10)

    for world in (a_world(calm=calm), a_world(quiet=quiet)):
        for n in range(2_000):
            assert ask(world, "acquire/authorize", authorization(f"order-{n}"))["status"] == 200
            assert ask(world, "smtp/send", mail(f"order-{n}", f"{n}@example.org"))["status"] == 250


def test_the_fourth_mail_in_a_while_is_greylisted() -> None:
    world = a_world(quiet=Window(0, 1_000_000))
    answers = [ask(world, "smtp/send", mail(), at)["status"] for at in (0, 900, 3_500, 5_500)]

    assert answers == [250, 250, 250, 451]
    assert ask(world, "smtp/send", mail(to="bruno@example.org"), 5_500)["status"] == 250
    assert ask(world, "smtp/send", mail(), 15_001)["status"] == 250  # the first is forgotten


def test_a_stalled_carrier_answers_at_the_end_of_the_stall() -> None:
    world = a_world(quiet=Window(0, 10_000), stalls=[("LEJ2", Window(1_000, 6_000))])
    request = {"warehouse": "LEJ2", "shipment": "shipment-1", "order": "order-1"}

    def label(at: int, **more: str) -> int:
        return world.answer("carrier/labels", request | more, at, EVENT)[1]

    assert label(2_000) > 4_000
    assert max(label(999), label(6_000), label(2_000, warehouse="CGN1")) < 4_000


def test_slow_settlement_takes_three_questions() -> None:
    world = a_world(slow_settlement=[Window(1_000, 2_000)])
    request = {"order": "order-1", "payment": "payment-1"}
    states = [ask(world, "acquire/capture", request, 1_500).get("state") for _ in range(3_000)]

    assert 0.66 < states.count("accepted") / len(states) < 0.74
    assert ask(world, "acquire/capture", request, 999)["state"] == "settled"


def test_all_lines_of_an_order_go_into_one_shipment() -> None:
    world = a_world(quiet=Window(0, 10))
    one, other, again = (
        ask(world, "wms/allocate", {"order": order, "warehouse": "CGN1"})["shipment"]
        for order in ("order-1", "order-2", "order-1")
    )

    assert one == again != other


def test_goods_of_a_supplier_with_a_lead_time_do_not_come() -> None:
    request = {"sku": "SKU7", "qty": 6, "lead_days": 3}

    assert ask(a_world(), "supplier/orders", request)["state"] == "backordered"


def test_windows_come_about_as_often_as_asked() -> None:
    windows = every(Random(1), 0, 10_000, 500)
    found = [next(windows) for _ in range(200)]

    assert 9_500 < found[-1].end / 200 < 11_500
    assert all(300 <= window.end - window.start <= 700 for window in found)
    assert 5 in Window(5, 6)
    assert 6 not in Window(5, 6)
