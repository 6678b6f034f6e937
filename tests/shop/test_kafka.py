"""The shop over a real Kafka, tapped: what the bus alone tells is what happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from apps.access.actor import CONSOLE
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest.commands import taps
from examples.shop.broker import BrokerBus
from examples.shop.host import Delivery
from examples.shop.kafka import Kafka as Over
from examples.shop.shop import Shop
from tests.ingest.tapping import running, until
from tests.kafka import Kafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]
SECONDS = 12


class Watched(Shop):
    """A shop that remembers its deliveries."""

    def __init__(self, broker: Over) -> None:
        self.told: list[Delivery] = []
        now = int(time.time() * 1000)
        super().__init__(seed=7, start=now, edge=now, rate=120,
                         bus=lambda schedule: BrokerBus(schedule, broker))  # fmt: skip

    def delivery(self, delivery: Delivery) -> None:
        self.told.append(delivery)
        super().delivery(delivery)


def test_deliveries_come_from_the_bus_alone(kafka_broker: Kafka, tmp_path: Path) -> None:
    line = create_system("overkafka")
    broker = Over(kafka_broker.bootstrap)
    shop = Watched(broker)
    assert isinstance(shop.bus, BrokerBus)
    topics = "^(orders|shop|STOCK|mail).*"
    groups = "^(web|orders|payments|inventory|shipping|email)"
    tap = taps.add(
        line, "all", "kafka",
        {"servers": kafka_broker.bootstrap, "topics": topics, "groups": groups}, by=CONSOLE,
    )  # fmt: skip
    with running():
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends or shop.bus._held:
            shop.bus.poll()
            if time.monotonic() < ends or shop.bus._held:
                shop.run(int(time.time() * 1000))
            if time.monotonic() > ends + 60:
                break
            time.sleep(0.02)
        settled = {
            (d.event.id, d.subscriber) for d in shop.told if d.outcome in ("handled", "skipped")
        }
        broker.close()
        assert len(settled) > 50

        def all_seen(_: object) -> bool:
            return settled <= set(seen())

        def seen() -> dict[tuple[str, str], tuple[int, int]]:
            events = []
            after = 0
            while page := log.read(log.line("overkafka"), after=after, limit=5000):
                events += page
                after = page[-1].position
            ids = {e.position: e.id for e in events}
            return {
                (ids[e.cause], e.source): (e.position, e.time)
                for e in events
                if e.kind == "delivery" and e.cause is not None
            }

        until(tap, all_seen, "every delivery that was handled")
    by_id = {(d.event.id, d.subscriber): d for d in shop.told if d.outcome == "handled"}
    deliveries = [
        (e, log.events_at(line_now(), {e.cause})[0].id)
        for e in log.read(line_now(), limit=5000)
        if e.kind == "delivery" and e.cause is not None
    ][:400]
    bracketed = 0
    for e, event_id in deliveries:
        done = by_id.get((event_id, e.source))
        if done is None:
            continue
        told = e.value()
        assert told["evidence"] == "offset"
        assert done.finished * 1000 <= e.time + 1_000_000, "the commit came before it was seen"
        bracketed += 1
    assert bracketed > 30
    tap.refresh_from_db()
    assert tap.received == tap.stored + tap.duplicates + tap.rejected
    assert tap.rejected == 0


def line_now() -> Line:
    return log.line("overkafka")
