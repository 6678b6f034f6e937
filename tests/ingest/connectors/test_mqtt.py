"""MQTT 3.1.1 and 5 on a real Mosquitto."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from apps.ingest.connector import BadSettings, Surroundings, Unreachable
from apps.ingest.connectors import mqtt_session
from tests import brokers
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port, wait_for

pytestmark = pytest.mark.slow  # the broker takes its time


class Publisher:
    """A producer as any other."""

    def __init__(self, broker: brokers.Mosquitto) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def send(self, topic: str, body: bytes, qos: int = 1, **options: Any) -> None:
        self.client.publish(topic, body, qos, **options).wait_for_publish(30)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Contract(ConnectorContract):
    bus = "mqtt"
    remembers: ClassVar = False
    settles: ClassVar = True
    stays: ClassVar = True
    version: ClassVar = "5"

    @pytest.fixture(autouse=True)
    def _topic(self, mosquitto: brokers.Mosquitto) -> Iterator[None]:
        self.broker = mosquitto
        self.publisher = Publisher(mosquitto)
        self.name = f"t{uuid.uuid4().hex}"
        yield
        self.publisher.close()

    def around(self, **changes: Any) -> Surroundings:
        return super().around(**({"name": self.name} | changes))

    def settings(self) -> dict[str, str]:
        topics = f"{self.name}/#"
        return {"url": self.broker.url, "topics": topics, "version": self.version}

    def unreachable(self) -> dict[str, str]:
        return {"url": f"mqtt://127.0.0.1:{free_port()}", "topics": "a"}

    def everything(self) -> bool:
        """Whether the broker has a session of ours."""
        self.broker.save()
        return f"evdebug-{self.name}".encode() in (self.broker.folder / "mosquitto.db").read_bytes()

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.publisher.send(f"{self.name}/a", body)

    def test_what_is_retained_is_told_apart_and_comes_once(self) -> None:
        self.publisher.send(f"{self.name}/state", b"on", retain=True)
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
            self.publish([b"new"])
            (later,) = self.batches(connector, 1)
        assert [(r.body, r.facts.get("retained")) for r in batch.records] == [(b"on", True)]
        assert [(r.body, r.facts.get("retained")) for r in later.records] == [(b"new", None)]
        with self.opened(later.cursor) as connector:
            assert not connector.read(limit=10, wait=0.3).records
        self.publisher.send(f"{self.name}/state", b"", retain=True)

    def test_it_survives_a_crash_of_the_broker(self) -> None:
        self.attend()
        with self.opened() as connector:
            self.publish([b"1"])
            (batch,) = self.batches(connector, 1)
            self.broker.save()
            self.broker.restart(signal.SIGKILL)
            with pytest.raises(Unreachable):
                self.batches(connector, 10)
        self.publisher.close()
        self.publisher = Publisher(self.broker)
        with self.opened(batch.cursor) as connector:
            self.publish([b"2"])
            batches = self.batches(connector, 1)
        records = [r for b in batches for r in b.records if not r.again]
        assert not [g for b in batches for g in b.gaps], "the session was kept"
        assert [r.body for r in records] == [b"2"]

    def test_other_topics_are_listened_to_after_a_change(self) -> None:
        """Though the broker kept the session of before."""
        with self.opened() as connector:
            self.publish([b"1"])
            (batch,) = self.batches(connector, 1)
        other = f"other-{self.name}"
        with self.opened(batch.cursor, topics=f"{other}/#") as connector:
            self.publish([b"not this"])
            self.publisher.send(f"{other}/a", b"2")
            assert self.bodies(connector, 1) == [b"2"]
            assert not connector.read(limit=10, wait=0.3).records


class TestMqtt5(Contract):
    def test_a_message_has_its_properties(self) -> None:
        self.attend()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.CorrelationData = b"c-1"
        properties.UserProperty = [("id", "1"), ("tag", "a"), ("tag", "b")]
        self.publisher.send(f"{self.name}/a", b"{}", properties=properties)
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        assert record.headers == (("id", b"1"), ("tag", b"a"), ("tag", b"b"))
        assert record.content_type == "application/json"
        assert record.facts == {"qos": 1, "correlation_id": "c-1"}
        assert record.channel == f"{self.name}/a"

    def test_a_session_that_expired_is_a_gap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does a killed tap's: it leaves nothing for good."""
        monkeypatch.setattr(mqtt_session, "EXPIRES_S", 1)
        with self.opened() as connector:
            self.publish([b"1"])
            (batch,) = self.batches(connector, 1)

        def gaps() -> list[str]:
            with self.opened(batch.cursor) as connector:
                return [g.cause for g in connector.read(limit=10, wait=0).gaps]

        found: list[str] = []

        def came() -> bool:
            time.sleep(1.5)  # asking keeps the session: leave it alone for longer than it is kept
            found.extend(gaps())
            return bool(found)

        wait_for(came, "the session to expire")
        assert found == ["disconnected"]

    def test_it_can_start_without_what_is_retained(self) -> None:
        self.publisher.send(f"{self.name}/state", b"on", retain=True)
        with self.opened(start="now") as connector:
            assert not connector.read(limit=10, wait=0.2).records
        assert [r.body for r in self.make().check().sample] == [b"on"]
        self.publisher.send(f"{self.name}/state", b"", retain=True)

    @pytest.mark.parametrize(
        "changes", [{"topics": "$share/g/a"}, {"topics": ""}, {"version": "4"}, {"url": "amqp://h"}]
    )
    def test_settings_that_make_no_sense_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(BadSettings):
            self.make(**changes)


class TestMqtt311(Contract):
    version: ClassVar = "3.1.1"


del Contract, ConnectorContract  # not tests by themselves
