"""The bus, looked at from a consumer's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from evdebug.sdk import Event
from examples.shop.bus import CHANNELS, Received, lane
from examples.shop.memory import ATTEMPTS, BACKOFF, COMMIT_TIMEOUT, LostCommit, MemoryBus
from examples.shop.schedule import Schedule


@dataclass
class Consumer:
    """Handles what it is given in `takes` ms; fails the first `fails` times."""

    bus: MemoryBus
    takes: int = 10
    fails: int = 0
    got: list[tuple[int, str, int]] = field(default_factory=list)  # when, stream, attempt
    verdicts: list[str] = field(default_factory=list)

    def __call__(self, received: Received) -> None:
        now = self.bus.schedule.now
        self.got.append((now, received.event.stream, received.attempt))
        ok = len(self.got) > self.fails
        self.bus.schedule.at(now + self.takes, self.settle, received, ok)

    def settle(self, received: Received, ok: bool) -> None:
        self.verdicts.append(self.bus.settle(received, ok=ok))

    @property
    def streams(self) -> list[str]:
        return [stream for _, stream, _ in self.got]


@dataclass
class Witness:
    seen: list[tuple[str, str, int]] = field(default_factory=list)

    def left(self, received: Received, member: str) -> None:
        self.seen.append(("left", member, received.attempt))

    def joined(self, received: Received, member: str) -> None:
        self.seen.append(("joined", member, received.attempt))


def a_bus() -> MemoryBus:
    return MemoryBus(Schedule(0), Random(1))


def an_event(stream: str = "order-1", type: str = "OrderPlaced") -> Event:
    return Event(f"id-{stream}", type, "/web", stream, {}, 0)


def run(bus: MemoryBus, ms: int = 60_000) -> None:
    bus.schedule.run(bus.schedule.now + ms)


def in_one_lane(count: int, *, channel: str = "orders") -> list[str]:
    """Return streams whose events share a partition."""
    partitions = CHANNELS[channel].partitions
    names = (f"order-{n}" for n in range(10_000))
    return [name for name in names if lane(name, partitions) == 0][:count]


def one_per_lane() -> list[str]:
    names = [f"order-{n}" for n in range(100)]
    return list({lane(name, CHANNELS["orders"].partitions): name for name in names}.values())


def test_it_works() -> None:
    bus = a_bus()
    consumer = Consumer(bus)
    bus.subscribe("email", "OrderPlaced", consumer)

    bus.publish(an_event())
    run(bus)

    assert [(stream, attempt) for _, stream, attempt in consumer.got] == [("order-1", 1)]
    assert consumer.verdicts == ["done"]


def test_every_group_gets_every_event_of_its_types_once() -> None:
    bus = a_bus()
    email, orders, web = Consumer(bus), Consumer(bus), Consumer(bus)
    bus.subscribe("email", "OrderPlaced", email)
    bus.subscribe("orders", "OrderPlaced", orders)
    bus.subscribe("web", "StockReleased", web)

    for n in range(20):
        bus.publish(an_event(f"order-{n}"))
    run(bus)

    expected = sorted(f"order-{n}" for n in range(20))
    assert sorted(email.streams) == sorted(orders.streams) == expected
    assert web.streams == []


def test_events_of_one_key_come_in_order_and_one_after_the_other() -> None:
    bus = a_bus()
    consumer = Consumer(bus, takes=100)
    bus.subscribe("email", "OrderPlaced", consumer)
    streams = in_one_lane(5)

    for stream in streams:
        bus.publish(an_event(stream))
    run(bus)

    assert consumer.streams == streams
    starts = [at for at, _, _ in consumer.got]
    assert all(later - earlier >= 100 for earlier, later in pairwise(starts))


def test_lanes_do_not_wait_for_each_other() -> None:
    bus = a_bus()
    consumer = Consumer(bus, takes=1_000)
    bus.subscribe("email", "OrderPlaced", consumer)

    for stream in one_per_lane():
        bus.publish(an_event(stream))
    run(bus, 50)

    assert len(consumer.got) == 6


def test_a_group_with_one_worker_does_one_thing_at_a_time() -> None:
    bus = a_bus()
    consumer = Consumer(bus, takes=100)
    bus.subscribe("inventory", "OrderPlaced", consumer, workers=1)

    for stream in one_per_lane():
        bus.publish(an_event(stream))
    run(bus)

    starts = [at for at, _, _ in consumer.got]
    assert len(starts) == 6
    assert all(later - earlier >= 100 for earlier, later in pairwise(starts))


def test_partitions_number_their_events() -> None:
    bus = a_bus()
    events = [an_event(stream) for stream in in_one_lane(3)]
    other = an_event("mail-1", "EmailSent")

    for event in [*events, other]:
        bus.publish(event)

    assert [(e.channel, e.partition, e.offset) for e in events] == [
        ("orders", "0", "1"),
        ("orders", "0", "2"),
        ("orders", "0", "3"),
    ]
    assert (other.channel, other.partition, other.offset) == ("mail", "", "0-1")


def test_a_failed_delivery_comes_again_after_a_while() -> None:
    bus = a_bus()
    consumer = Consumer(bus, takes=10, fails=1)
    bus.subscribe("email", "OrderPlaced", consumer)

    bus.publish(an_event())
    run(bus)

    (first, _, one), (second, _, two) = consumer.got
    assert (one, two) == (1, 2)
    assert second - first == 10 + BACKOFF[0]
    assert consumer.verdicts == ["retry", "done"]


def test_what_keeps_failing_is_dead_lettered() -> None:
    bus = a_bus()
    consumer = Consumer(bus, fails=99)
    bus.subscribe("email", "OrderPlaced", consumer)
    event = an_event()

    bus.publish(event)
    run(bus)

    assert consumer.verdicts == ["retry", "retry", "dead"]
    assert len(consumer.got) == ATTEMPTS
    assert list(bus.dead["orders.email.dlq"]) == [event]


def test_a_log_holds_its_lane_until_a_failure_is_settled() -> None:
    bus = a_bus()
    consumer = Consumer(bus, fails=1)
    bus.subscribe("email", "OrderPlaced", consumer)
    first, second = in_one_lane(2)

    bus.publish(an_event(first))
    bus.publish(an_event(second))
    run(bus)

    assert consumer.streams == [first, first, second]


def test_a_queue_lets_others_pass_a_failure() -> None:
    bus = a_bus()
    consumer = Consumer(bus, fails=1)
    bus.subscribe("email", "PaymentCaptured", consumer)
    first, second = in_one_lane(2, channel="shop")

    bus.publish(an_event(first, "PaymentCaptured"))
    bus.publish(an_event(second, "PaymentCaptured"))
    run(bus)

    assert consumer.streams == [first, second, first]


def test_what_was_not_committed_is_delivered_again() -> None:
    bus, witness = a_bus(), Witness()
    bus.rebalances = witness
    consumer = Consumer(bus, takes=200)
    bus.subscribe("payments", "OrderPlaced", consumer)
    bus.lost_commits.append(LostCommit("payments", 0, "order-1"))

    bus.publish(an_event())
    run(bus)

    (first, _, one), (second, _, two) = consumer.got
    assert (one, two) == (1, 2)
    assert second - first > 200 + COMMIT_TIMEOUT
    assert consumer.verdicts == ["done", "done"]  # both were handled well: that is the trouble
    assert witness.seen == [("left", "payments-1", 1), ("joined", "payments-2", 1)]


def test_the_ones_behind_wait_for_the_new_owner_and_come_once() -> None:
    bus = a_bus()
    consumer = Consumer(bus)
    bus.subscribe("payments", "OrderPlaced", consumer)
    first, second = in_one_lane(2)
    bus.lost_commits.append(LostCommit("payments", 0, first))

    bus.publish(an_event(first))
    bus.publish(an_event(second))
    run(bus)

    assert consumer.streams == [first, first, second]


def test_only_the_commit_it_names_is_lost() -> None:
    bus = a_bus()
    payments, email = Consumer(bus), Consumer(bus)
    bus.subscribe("payments", "OrderPlaced", payments)
    bus.subscribe("email", "OrderPlaced", email)
    bus.lost_commits.append(LostCommit("payments", 0, "order-2"))

    for n in (1, 2, 3):
        bus.publish(an_event(f"order-{n}"))
    run(bus)

    assert sorted(payments.streams) == ["order-1", "order-2", "order-2", "order-3"]
    assert sorted(email.streams) == ["order-1", "order-2", "order-3"]


def test_a_paused_group_catches_up() -> None:
    bus = a_bus()
    consumer = Consumer(bus)
    bus.subscribe("payments", "OrderPlaced", consumer)
    bus.pause("payments", 2_000)

    bus.publish(an_event())
    run(bus, 1_999)
    assert (consumer.got, bus.lag("payments")) == ([], 1)

    run(bus)
    assert (consumer.got, bus.lag("payments")) == ([(2_000, "order-1", 1)], 0)
