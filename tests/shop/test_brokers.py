"""The shop over real brokers, tapped: what was handled is what the bus alone tells."""

from __future__ import annotations

import time
import uuid

import pytest

from apps.ingest import buses
from apps.ingest.connector import Connector, Surroundings
from apps.ingest.connectors.rabbitmq_records import event_id
from examples.shop.broker import Broker, BrokerBus
from examples.shop.host import Delivery
from examples.shop.mqtt import Mqtt
from examples.shop.nats import Nats
from examples.shop.rabbitmq import RabbitMQ
from examples.shop.redis import Redis
from examples.shop.shop import Shop
from tests import brokers
from tests.services import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ORDERS = 15  # deliveries of so many orders, about
CHANNELS = ("orders", "shop", "STOCK", "mail")


class Watched(Shop):
    """A shop that remembers its deliveries."""

    def __init__(self, broker: Broker) -> None:
        self.told: list[Delivery] = []
        now = int(time.time() * 1000)
        super().__init__(seed=7, start=now, edge=now, rate=120,
                         bus=lambda schedule: BrokerBus(schedule, broker))  # fmt: skip

    def delivery(self, delivery: Delivery) -> None:
        self.told.append(delivery)
        super().delivery(delivery)


class Taps:
    """Connectors read in turn: the ids of events, and what is told of them."""

    def __init__(self, bus: str, *settings: dict[str, str]) -> None:
        self.connectors: list[Connector] = []
        self.ids: dict[tuple[str, str], str] = {}  # channel and offset to event
        self.told: set[tuple[str, str, str, str]] = set()
        self.events: set[str] = set()
        for each in settings:
            around = Surroundings(name=f"shop-{uuid.uuid4().hex}", reach=lambda host, port: [host])
            self.connectors.append(buses.connector(bus, each, around))
            self.connectors[-1].open({})

    def read(self) -> None:
        for connector in self.connectors:
            batch = connector.read(limit=2000, wait=0.02)
            if not batch:
                continue
            connector.settle(batch)
            for record in batch.records:
                self.ids[record.channel, record.offset] = event_id(record)[0]
                self.events.add(event_id(record)[0])
            self.told |= {
                (d.subscriber, d.outcome, d.channel, d.offset or d.event_id)
                for d in batch.deliveries
            }

    def settled(self) -> set[tuple[str, str]]:
        """Return (event, subscriber) of what was handled."""
        return {
            (self.ids.get((channel, place), place), who.rpartition(".")[2])
            for who, outcome, channel, place in self.told
            if outcome == "handled"
        }

    def close(self) -> None:
        for connector in self.connectors:
            connector.close()


def went(broker: Broker, taps: Taps) -> Watched:
    """Let the shop run over a broker until enough was delivered."""
    shop = Watched(broker)
    assert isinstance(shop.bus, BrokerBus)
    until = time.monotonic() + 120
    try:
        while len(shop.told) < ORDERS * 12:
            assert time.monotonic() < until, f"only {len(shop.told)} deliveries"
            shop.bus.poll()
            shop.run(int(time.time() * 1000))
            taps.read()
            time.sleep(0.005)
    finally:
        broker.close()
    return shop


def agree(shop: Watched, taps: Taps) -> None:
    """Wait until the taps have told every delivery that was handled.

    They tell more: an event of a type that a group does not handle is settled all the same.
    """
    handled = {(d.event.id, d.subscriber) for d in shop.told if d.outcome in ("handled", "skipped")}

    def told() -> bool:
        taps.read()
        return handled <= taps.settled()

    try:
        wait_for(told, "every delivery that was handled")
    finally:
        missing = handled - taps.settled()
        taps.close()
    assert not missing
    assert len(handled) > 50


def test_redis(redis_broker: brokers.Redis) -> None:
    url = f"{redis_broker.url}/7"
    taps = Taps("redis", {"url": url, "streams": " ".join(CHANNELS)})
    agree(went(Redis(url), taps), taps)


def test_nats(nats: brokers.Nats) -> None:
    broker = Nats(nats.url)
    taps = Taps("nats", *({"url": nats.url, "stream": name} for name in CHANNELS))
    agree(went(broker, taps), taps)


def test_rabbitmq(rabbitmq: brokers.RabbitMQ) -> None:
    broker = RabbitMQ(rabbitmq.url)
    management = f"http://guest:guest@127.0.0.1:{rabbitmq.management}"
    settings = {"url": rabbitmq.url, "firehose": "5", "management": management}
    taps = Taps("rabbitmq", settings)
    agree(went(broker, taps), taps)


def test_mqtt(mosquitto: brokers.Mosquitto) -> None:
    """MQTT shows no subscriber: the events are there all the same."""
    topics = " ".join(f"{name}/+" for name in CHANNELS)
    taps = Taps("mqtt", {"url": mosquitto.url, "topics": topics})
    shop = went(Mqtt(mosquitto.url), taps)
    events = {d.event.id for d in shop.told}

    def told() -> bool:
        taps.read()
        return events <= taps.events

    wait_for(told, "every event that was delivered")
    taps.close()
