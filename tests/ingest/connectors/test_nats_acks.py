"""What consumers acknowledged, heard in passing on a real NATS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from apps.ingest import buses
from apps.ingest.connector import (
    Connector,
    Cursor,
    Delivery,
    Surroundings,
)
from apps.ingest.connectors import nats_stream
from tests import brokers
from tests.ingest.connectors.nats_clients import Clients
from tests.services import wait_for

pytestmark = pytest.mark.slow  # the broker takes its time


class TestAcks:
    """What consumers acknowledged, heard in passing."""

    @pytest.fixture(autouse=True)
    def _stream(self, nats: brokers.Nats, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(nats_stream, "LOOK_S", 0.05)
        self.url = nats.url
        self.name = f"A{uuid.uuid4().hex}"
        self.clients = Clients(nats.url)
        self.js, self.run = self.clients.js, self.clients.run
        self.run(self.js.add_stream(name=self.name, subjects=[f"{self.name}.>"]))
        self.cursor: Cursor = {}
        self.connector = self.opened({})
        yield
        self.connector.close()
        self.run(self.js.delete_stream(self.name))
        self.clients.close()

    def opened(self, cursor: Cursor) -> Connector:
        around = Surroundings(name="acks", reach=lambda host, port: [host])
        found = buses.connector("nats", {"url": self.url, "stream": self.name}, around)
        found.open(cursor)
        return found

    def reopened(self) -> None:
        self.connector.close()
        self.connector = self.opened(self.cursor)

    def consumer(self, **config: Any) -> Any:
        given: dict[str, Any] = {"ack_policy": AckPolicy.EXPLICIT, "ack_wait": 1.0}
        made = ConsumerConfig(durable_name="billing", **(given | config))
        return self.run(self.js.pull_subscribe(f"{self.name}.>", "billing", config=made))

    def publish(self, count: int) -> None:
        for n in range(count):
            self.run(self.js.publish(f"{self.name}.a", b"%d" % n))

    def told(self, count: int = 0) -> list[Delivery]:
        found: list[Delivery] = []

        def quiet() -> bool:
            batch = self.connector.read(limit=1000, wait=0.15)
            found.extend(batch.deliveries)
            self.cursor = batch.cursor or self.cursor
            return not batch.deliveries and not batch.records and len(found) >= count

        wait_for(quiet, f"{count} deliveries")
        assert len(found) == count, found
        return found

    def test_it_works(self) -> None:
        subscription = self.consumer()
        self.publish(3)
        one, two, three = self.run(subscription.fetch(3))
        assert self.told() == []
        for message in (one, three):
            self.run(message.ack())
        self.run(self.clients.client.flush())
        assert seen(self.told(2)) == [("1", "handled", 1), ("3", "handled", 1)]
        self.run(two.term())
        assert seen(self.told(1)) == [("2", "dead_lettered", 1)]

    def test_a_refused_event_comes_again(self) -> None:
        subscription = self.consumer()
        self.publish(1)
        (message,) = self.run(subscription.fetch(1))
        self.run(message.nak())
        (message,) = self.run(subscription.fetch(1))
        self.run(message.ack())
        self.run(self.clients.client.flush())
        assert seen(self.told(2)) == [("1", "failed", 1), ("1", "handled", 2)]

    def test_a_consumer_that_died_failed(self) -> None:
        subscription = self.consumer(ack_wait=0.2)
        self.publish(1)
        self.run(subscription.fetch(1))
        (message,) = self.run(subscription.fetch(1, timeout=10))
        self.run(message.ack())
        self.run(self.clients.client.flush())
        failed, handled = self.told(2)
        assert (failed.outcome, failed.attempt, failed.error[:16]) == (
            "failed",
            1,
            "Not acknowledged",
        )
        assert (handled.outcome, handled.attempt) == ("handled", 2)

    def test_an_event_that_is_given_up_is_dead(self) -> None:
        subscription = self.consumer(ack_wait=0.2, max_deliver=2)
        self.publish(1)
        for _ in range(2):
            self.run(subscription.fetch(1, timeout=10))
        with pytest.raises(nats.errors.TimeoutError):
            self.run(subscription.fetch(1, timeout=1))
        assert seen(self.told(3)) == [
            ("1", "failed", 1), ("1", "failed", 2), ("1", "dead_lettered", 2)
        ]  # fmt: skip

    def test_what_was_settled_while_nobody_listened_is_told_with_its_span(self) -> None:
        subscription = self.consumer()
        self.publish(3)
        messages = self.run(subscription.fetch(3))
        self.run(messages[2].ack())
        self.run(self.clients.client.flush())
        self.told(1)
        self.connector.close()
        self.run(messages[0].ack())
        self.run(messages[1].ack())
        self.run(self.clients.client.flush())
        self.connector = self.opened(self.cursor)
        one, two = self.told(2)
        assert seen([one, two]) == [("1", "handled", 1), ("2", "handled", 1)]
        assert one.earliest is not None
        assert one.latest is not None
        assert one.earliest < one.latest
        self.reopened()
        assert self.told() == []

    def test_one_acknowledgement_may_settle_many(self) -> None:
        subscription = self.consumer(ack_policy=AckPolicy.ALL)
        self.told()
        self.publish(5)
        messages = self.run(subscription.fetch(5))
        self.run(messages[3].ack())
        self.run(self.clients.client.flush())
        assert seen(self.told(4)) == [(str(n), "handled", 1) for n in (1, 2, 3, 4)]

    def test_a_consumer_there_before_is_followed_from_now_on(self) -> None:
        subscription = self.consumer()
        self.publish(3)
        one, two, three = self.run(subscription.fetch(3))
        self.run(one.ack())
        self.run(self.clients.client.flush())
        self.cursor = {}
        self.reopened()
        self.run(three.ack())
        self.run(two.ack())
        self.run(self.clients.client.flush())
        assert seen(self.told(2)) == [("3", "handled", 1), ("2", "handled", 1)]

    def test_only_named_consumers_are_watched(self) -> None:
        self.connector.close()
        around = Surroundings(name="acks", reach=lambda host, port: [host])
        settings = {"url": self.url, "stream": self.name, "consumers": "other"}
        self.connector = buses.connector("nats", settings, around)
        self.connector.open({})
        subscription = self.consumer()
        self.publish(1)
        (message,) = self.run(subscription.fetch(1))
        self.run(message.ack())
        self.run(self.clients.client.flush())
        assert self.told() == []


def seen(deliveries: list[Delivery]) -> list[tuple[str, str, int]]:
    return [(d.offset, d.outcome, d.attempt) for d in deliveries]
