from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from evdebug.sdk import Context, Event, Handler, New, Subscription, Unavailable
from examples.shop.entities import Entities
from examples.shop.host import Delivery, Host
from examples.shop.memory import MemoryBus
from examples.shop.outside import Answer, Request
from examples.shop.schedule import Schedule
from examples.shop.timing import Timing


@dataclass
class Notes:
    """A journal, and an outside that answers after 100 ms with what it is told to."""

    events: list[Event] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def delivery(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def answer(self, name: str, request: Request, at: int, event: Event) -> Answer:
        return self.answers.pop(0) if self.answers else {"status": 200}, 100

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


def deliver(handler: Handler, notes: Notes, *, times: int = 1) -> Host:
    """Hand an OrderPlaced to `handler` as the shop's payments would get it."""
    schedule, ids = Schedule(0), count(1)
    host = Host(
        schedule,
        MemoryBus(schedule, Random(1)),
        notes,
        notes,
        Entities(),
        Timing(Random(1)),
        lambda now: f"id-{next(ids)}",
    )
    host.install([Subscription("payments", "OrderPlaced", handler)])
    for n in range(times):
        placed = New("OrderPlaced", "order-1", {"order": "order-1", "n": n}, correlation="c-1")
        host.say("web", [placed])
    schedule.run(60_000)
    return host


def test_it_works() -> None:
    def pay(event: Event, ctx: Context) -> Iterator[New]:
        yield New("PaymentAuthorized", "payment-1", {"order": event.data["order"]})

    notes = Notes()
    deliver(pay, notes)

    placed, authorized = notes.events
    assert (authorized.source, authorized.stream) == ("/payments", "payment-1")
    assert (authorized.correlation, authorized.causation) == ("c-1", placed.id)
    (delivery,) = notes.deliveries
    assert (delivery.event, delivery.subscriber, delivery.outcome) == (
        placed,
        "payments",
        "handled",
    )
    assert placed.time < delivery.started < authorized.time == delivery.finished


def test_a_call_takes_time_and_its_answer_is_told() -> None:
    def pay(event: Event, ctx: Context) -> Iterator[New]:
        yield New("ShipmentCreated", "shipment-1", {})
        before = ctx.now()
        answer = ctx.call("acquire/authorize", {"order": "order-1"})
        assert (ctx.now() - before).total_seconds() == 0.1
        yield New("PaymentAuthorized", "payment-1", answer)

    notes = Notes()
    deliver(pay, notes)

    assert notes.types == [
        "OrderPlaced",
        "ShipmentCreated",
        "acquire/authorize",
        "PaymentAuthorized",
    ]
    _, created, answer, authorized = notes.events
    assert answer.time - created.time == 100
    assert answer.time == authorized.time
    assert (answer.kind, answer.stream, answer.channel) == ("response", "", "")
    assert answer.data == {
        "call": "acquire/authorize",
        "request": {"order": "order-1"},
        "response": {"status": 200},
        "duration_ms": 100,
    }


def test_a_handler_that_raises_publishes_nothing_and_runs_again() -> None:
    def pay(event: Event, ctx: Context) -> Iterator[New]:
        yield New("ShipmentCreated", "shipment-1", {})
        answer = ctx.call("acquire/authorize", {})
        if answer["status"] != 200:
            raise Unavailable(answer["error"])
        yield New("PaymentAuthorized", "payment-1", {})

    notes = Notes(answers=[{"status": 504, "error": "no answer"}])
    deliver(pay, notes)

    assert [(d.attempt, d.outcome, d.error) for d in notes.deliveries] == [
        (1, "failed", "no answer"),
        (2, "handled", ""),
    ]
    assert notes.types.count("ShipmentCreated") == notes.types.count("PaymentAuthorized") == 1
    assert notes.types.count("acquire/authorize") == 2  # the answers were there, both of them


def test_a_handler_that_keeps_raising_ends_in_a_dead_letter() -> None:
    def pay(event: Event, ctx: Context) -> Iterator[New]:
        raise Unavailable("never")
        yield

    notes = Notes()
    deliver(pay, notes)

    assert [d.outcome for d in notes.deliveries] == ["failed", "failed", "dead_lettered"]


def test_a_handler_can_say_that_it_skipped_a_repeat() -> None:
    def pay(event: Event, ctx: Context) -> Iterator[New]:
        ctx.skip("paid already")
        yield from ()

    notes = Notes()
    deliver(pay, notes)

    assert [(d.outcome, d.error) for d in notes.deliveries] == [("skipped", "paid already")]


def test_a_handler_sees_what_it_said_itself() -> None:
    seen = []

    def pay(event: Event, ctx: Context) -> Iterator[New]:
        seen.append(ctx.state("stock-1"))
        yield New("StockReserved", "stock-1", {"available": ctx.state("stock-1").get("n", 5) - 1})
        seen.append(ctx.state("stock-1"))

    notes = Notes()
    host = deliver(pay, notes)

    assert seen == [{}, {"available": 4}]
    assert host.entities.state("stock-1") == {"available": 4}


def test_a_handler_sees_what_others_said_before_it_began() -> None:
    seen = []

    def pay(event: Event, ctx: Context) -> Iterator[New]:
        seen.append(ctx.state("payment-1").get("captured", 0))
        yield New("PaymentAuthorized", "payment-1", {"captured": seen[-1] + 1})

    deliver(pay, Notes(), times=3)

    assert seen == [0, 1, 2]


def test_chance_is_the_same_for_the_same_attempt() -> None:
    drawn = []

    def pay(event: Event, ctx: Context) -> Iterator[New]:
        drawn.append((ctx.random(), ctx.uuid()))
        yield from ()

    deliver(pay, Notes())
    deliver(pay, Notes())

    assert drawn[0] == drawn[1]


def test_a_deploy_replaces_a_handler() -> None:
    def old(event: Event, ctx: Context) -> Iterator[New]:
        yield New("PaymentFailed", "payment-1", {})

    def new(event: Event, ctx: Context) -> Iterator[New]:
        yield New("PaymentAuthorized", "payment-2", {})

    notes = Notes()
    host = deliver(old, notes)
    host.install([Subscription("payments", "OrderPlaced", new)])
    host.say("web", [New("OrderPlaced", "order-2", {})])
    host.schedule.run(120_000)

    assert notes.types == ["OrderPlaced", "PaymentFailed", "OrderPlaced", "PaymentAuthorized"]
    assert len(notes.deliveries) == 2
