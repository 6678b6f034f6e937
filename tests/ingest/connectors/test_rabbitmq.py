"""RabbitMQ: our queue beside the others, streams and the firehose, on a real broker."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import amqp
import pytest

from apps.ingest import buses
from apps.ingest.connector import (
    BadSettings,
    Connector,
    Cursor,
    Delivery,
    Record,
    Refused,
    Surroundings,
    Unreachable,
)
from apps.ingest.connectors import rabbitmq_firehose, rabbitmq_queue
from tests import brokers
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port, wait_for

pytestmark = pytest.mark.slow  # the broker takes its time


class Client:
    """A producer and consumer as any other."""

    def __init__(self, broker: brokers.RabbitMQ) -> None:
        self.connection: Any = amqp.Connection(f"127.0.0.1:{broker.port}", confirm_publish=True)
        self.connection.connect()
        self.channel = self.connection.channel()

    def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        message = amqp.Message(body, **properties)
        self.channel.basic_publish(message, exchange, key)

    def take(self, queue: str) -> Any:
        found: list[Any] = []

        def came() -> bool:
            found[:] = filter(None, [self.channel.basic_get(queue)])
            return bool(found)

        wait_for(came, f"a message of {queue}")
        return found[0]

    def close(self) -> None:
        self.connection.close()


class TestExchange(ConnectorContract):
    bus = "rabbitmq"
    remembers: ClassVar = False
    settles: ClassVar = True
    stays: ClassVar = True

    @pytest.fixture(autouse=True)
    def _exchange(self, rabbitmq: brokers.RabbitMQ) -> Iterator[None]:
        self.broker = rabbitmq
        self.client = Client(rabbitmq)
        self.name = f"x{uuid.uuid4().hex}"
        self.client.channel.exchange_declare(self.name, "topic", auto_delete=False, durable=True)
        yield
        self.client.channel.exchange_delete(self.name)
        self.client.channel.queue_delete(f"evdebug.{self.name}")
        self.client.channel.queue_delete(f"evdebug.{self.name}.lost")
        self.client.close()

    def around(self, **changes: Any) -> Surroundings:
        return super().around(**({"name": self.name} | changes))

    def settings(self) -> dict[str, str]:
        return {
            "url": self.broker.url, "exchanges": self.name,
            "management": f"http://guest:guest@127.0.0.1:{self.broker.management}",
        }  # fmt: skip

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.client.publish(self.name, "a.b", body)

    def unreachable(self) -> dict[str, str]:
        return {"url": f"amqp://127.0.0.1:{free_port()}", "exchanges": "x"}

    def standing(self) -> Any:
        """What does not expire by itself."""
        queues = [q for q in self.broker.api("GET", "queues") if "x-expires" not in q["arguments"]]
        bindings = self.broker.api("GET", "bindings")
        return (
            sorted(q["name"] for q in queues),
            sorted(b["source"] + b["destination"] for b in bindings
                   if not b["destination"].startswith("evdebug.")),
            self.broker.api("GET", "vhosts/%2F")["tracing"],
        )  # fmt: skip

    def test_other_keys_are_listened_to_after_a_change(self) -> None:
        self.attend()
        self.publish([b"1"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        with self.opened(batch.cursor, keys="c.*") as connector:
            self.publish([b"not this"])
            self.client.publish(self.name, "c.d", b"2")
            assert self.bodies(connector, 1) == [b"2"]
            assert not connector.read(limit=10, wait=0.3).records

    def everything(self) -> list[str]:
        queues = [q["name"] for q in self.broker.api("GET", "queues")]
        return sorted(q for q in queues if self.name in q)

    def test_a_message_has_its_properties_and_headers(self) -> None:
        self.attend()
        self.client.publish(
            self.name, "order.placed", b"{}", content_type="application/json", message_id="m-1",
            correlation_id="c-1", timestamp=1_700_000_000, type="OrderPlaced",
            application_headers={"tag": "a", "n": 7, "raw": b"\xff", "deep": {"a": [1, None]}},
        )  # fmt: skip
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        assert (record.channel, record.key) == (self.name, "order.placed")
        assert (record.content_type, record.time) == ("application/json", 1_700_000_000_000_000)
        assert record.facts["message_id"] == "m-1"
        assert record.facts["correlation_id"] == "c-1"
        assert dict(record.headers) == {
            "tag": b"a", "n": b"7", "raw": b"\xff", "deep": b'{"a":[1,null]}',
        }  # fmt: skip

    def test_properties_that_are_no_text_stop_nothing(self) -> None:
        """py-amqp would raise on each delivery of such a message, for ever."""
        self.attend()
        with self.opened() as connector:
            properties = struct.pack(">H", 0x0080 | 0x8000) + b"\x02\xff\xfe" + b"\x01\xff"
            raw_publish(self.client, self.name, b"\xffkey", properties, b"odd")
            self.publish([b"next"])
            records = [r for b in self.batches(connector, 2) for r in b.records]
        assert [r.body for r in records] == [b"odd", b"next"]
        assert records[0].key == "\\xffkey"
        assert "unreadable_properties" in records[0].facts

    def test_other_consumers_get_everything_too(self) -> None:
        self.attend()
        self.client.channel.queue_declare("billing", exclusive=True, auto_delete=True)
        self.client.channel.queue_bind("billing", self.name, "a.#")
        self.publish([b"1"])
        with self.opened() as connector:
            assert self.bodies(connector, 1) == [b"1"]
        assert self.client.take("billing").body == b"1"

    def test_only_the_keys_asked_for_come(self) -> None:
        with self.opened(keys="order.* stock.#") as connector:
            connector.read(limit=1, wait=0.1)
            for key in ("order.placed", "mail.sent", "stock.a.b"):
                self.client.publish(self.name, key, key.encode())
            assert self.bodies(connector, 2) == [b"order.placed", b"stock.a.b"]

    def test_a_queue_that_expired_is_a_gap(self) -> None:
        self.attend()
        self.publish([b"1"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        self.client.channel.queue_delete(f"evdebug.{self.name}")
        self.publish([b"lost"])
        with self.opened(batch.cursor) as connector:
            self.publish([b"2"])
            found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["disconnected"]
        assert [r.body for b in found for r in b.records] == [b"2"]

    def test_a_killed_taps_queue_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rabbitmq_queue, "EXPIRES_S", 1)
        queue = f"queues/%2F/evdebug.{self.name}"
        connector = self.make()
        connector.open({})
        assert self.broker.api("GET", queue)
        connector._wire._connection.transport.sock.close()  # type: ignore[attr-defined]
        self.wait_for(lambda: self.broker.api("GET", queue) is None, "the queue to expire")

    @pytest.mark.parametrize("how", ["the queue was full", "their own time ran out"])
    def test_what_the_queue_had_to_let_go_of_is_a_gap(
        self, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nobody who publishes is held up: each publication is confirmed."""
        if how == "the queue was full":
            monkeypatch.setattr(rabbitmq_queue, "QUEUE_BYTES", 2000)
        self.attend()
        for n in range(20):
            ends = {} if how == "the queue was full" else {"expiration": "1"}
            self.client.publish(self.name, "a", b"%d" % n + b" " * 500, **ends)
        kept = f"queues/%2F/evdebug.{self.name}.lost"
        self.wait_for(lambda: self.broker.api("GET", kept).get("messages") == 1, "the loss")
        self.publish([b"last"])
        found: list[Any] = []
        with self.opened() as connector:
            while not any(r.body == b"last" for b in found for r in b.records):
                found += self.batches(connector, 1)
            while not any(b.gaps for b in found):
                found.append(connector.read(limit=10, wait=0.5))
                connector.settle(found[-1])
            assert not connector.read(limit=10, wait=0.2)
        gaps = [g for b in found for g in b.gaps]
        assert {(g.channel, g.cause) for g in gaps} == {(self.name, "dropped")}
        assert ("full" in gaps[0].words) == (how == "the queue was full")

    def test_a_queue_deleted_under_it_is_noticed(self) -> None:
        with self.opened() as connector:
            connector.read(limit=1, wait=0.1)
            self.client.channel.queue_delete(f"evdebug.{self.name}")
            with pytest.raises(Unreachable, match="deleted"):
                self.batches(connector, 1)

    def test_a_dead_letter_says_whose_it_was(self) -> None:
        self.attend()
        dead = {"x-dead-letter-exchange": self.name, "x-dead-letter-routing-key": "dead"}
        self.client.channel.queue_declare("billing", exclusive=True, arguments=dead)
        self.client.channel.queue_bind("billing", self.name, "a.b")
        self.client.publish(self.name, "a.b", b"{}", message_id="m-7")
        self.client.channel.basic_reject(self.client.take("billing").delivery_tag, requeue=False)
        with self.opened() as connector:
            found = self.batches(connector, 2)
        (letter,) = [d for b in found for d in b.deliveries]
        assert (letter.subscriber, letter.event_id) == ("billing", "m-7")
        assert letter.outcome == "dead_lettered"
        assert letter.error == "Rejected by its consumer."
        assert letter.evidence == "dead_letter"

    def test_it_survives_a_crash_of_the_broker(self) -> None:
        self.attend()
        for body in (b"1", b"2"):
            self.client.publish(self.name, "a", body, delivery_mode=2)
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1, limit=1)
            self.broker.restart(signal.SIGKILL)
            with pytest.raises(Unreachable):
                self.batches(connector, 10)
        self.client = Client(self.broker)
        with self.opened(batch.cursor) as connector:
            records = [r for b in self.batches(connector, 1) for r in b.records]
        assert [r.body for r in records if not r.again] == [b"2"]

    def test_wrong_credentials_are_refused_and_not_repeated(self) -> None:
        url = f"amqp://guest:wrong-word@127.0.0.1:{self.broker.port}/"
        with pytest.raises(Refused) as refusal:
            self.make(url=url).open({})
        assert "wrong-word" not in str(refusal.value)
        (line,) = self.make(url=url).check().lines
        assert "wrong-word" not in line.words

    def test_an_exchange_that_is_not_there_is_said_to_be(self) -> None:
        with pytest.raises(Refused, match="NOT_FOUND"):
            self.make(exchanges="not-there").open({})
        assert not self.make(exchanges="not-there").check().ok

    @pytest.mark.parametrize("changes", [
        {"exchanges": ""}, {"exchanges": "amq.rabbitmq.trace"}, {"firehose": "-1"},
        {"management": "ftp://h"}, {"url": "http://h"},
    ])  # fmt: skip
    def test_settings_that_make_no_sense_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(BadSettings):
            self.make(**changes)


class TestStreamQueue(ConnectorContract):
    bus = "rabbitmq"

    @pytest.fixture(autouse=True)
    def _stream(self, rabbitmq: brokers.RabbitMQ) -> Iterator[None]:
        self.broker, self.client = rabbitmq, Client(rabbitmq)
        self.name = f"s{uuid.uuid4().hex}"
        self.declare()
        yield
        self.client.channel.queue_delete(self.name)
        self.client.close()

    def declare(self, **more: int) -> None:
        self.client.channel.queue_declare(
            self.name, durable=True, auto_delete=False, arguments={"x-queue-type": "stream"} | more
        )

    def settings(self) -> dict[str, str]:
        return {"url": self.broker.url, "streams": self.name}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.client.publish("", self.name, body)

    def standing(self) -> Any:
        return sorted(q["name"] for q in self.broker.api("GET", "queues"))

    def test_a_stream_made_anew_is_another_epoch(self) -> None:
        self.publish([b"a", b"b"])
        with self.opened() as connector:
            batches = self.batches(connector, 2)
            self.client.channel.queue_delete(self.name)
            with pytest.raises(Unreachable):
                self.batches(connector, 10)
        self.declare()
        self.publish([b"c"])
        with self.opened(batches[-1].cursor) as connector:
            found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["recreated"]
        assert [(r.body, r.offset, r.epoch) for b in found for r in b.records] == [(b"c", "0", "1")]

    def made_of_small_pieces(self, **more: int) -> None:
        """Have the broker begin a new file, and write a note of its own into it, all the time."""
        self.client.channel.queue_delete(self.name)
        self.declare(**{"x-stream-max-segment-size-bytes": 5000} | more)

    def test_numbers_the_broker_uses_itself_are_no_gap(self) -> None:
        self.made_of_small_pieces()
        with self.opened() as connector:
            self.publish([b"x" * 500] * 40)
            found = self.batches(connector, 40)
        offsets = [int(r.offset) for b in found for r in b.records]
        assert offsets[-1] - offsets[0] > 39, "there are such numbers"
        assert not [g for b in found for g in b.gaps]

    def test_what_was_removed_before_it_was_read_is_a_gap(self) -> None:
        self.made_of_small_pieces(**{"x-max-length-bytes": 20_000})
        self.publish([b"first"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        self.publish([b"x" * 500] * 200)
        with self.opened(batch.cursor) as connector:
            later = self.batches(connector, 1)
        (gap,) = [g for b in later for g in b.gaps]
        first = later[0].records[0]
        assert (gap.cause, gap.after) == ("retention", "0")
        assert 100 < int(gap.upto) < int(first.offset)
        assert (first.body, first.epoch) == (b"x" * 500, "")

    def test_what_came_before_now_is_not_read_though_the_stream_was_empty(self) -> None:
        with self.opened(start="now") as connector:
            (empty,) = [connector.read(limit=10, wait=0)]
        assert empty.cursor
        self.publish([b"1"])
        with self.opened(empty.cursor, start="now") as connector:
            found = self.batches(connector, 1)
        assert [(r.body, r.offset) for b in found for r in b.records] == [(b"1", "0")]
        assert not [g for b in found for g in b.gaps]


class TestFirehose:
    """Armed for a time: deliveries one by one."""

    @pytest.fixture(autouse=True)
    def _bound(self, rabbitmq: brokers.RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(rabbitmq_firehose, "LOOK_S", 0.1)
        monkeypatch.setattr(rabbitmq_firehose, "STALE_US", 2_500_000)
        self.broker, self.client = rabbitmq, Client(rabbitmq)
        self.name = f"f{uuid.uuid4().hex}"
        self.client.channel.exchange_declare(self.name, "topic", auto_delete=False)
        self.client.channel.queue_declare(self.name, exclusive=True)
        self.client.channel.queue_bind(self.name, self.name, "#")
        yield
        self.client.channel.exchange_delete(self.name)
        self.client.close()
        assert not self.traced()

    def settings(self, **changes: str) -> dict[str, str]:
        management = f"http://guest:guest@127.0.0.1:{self.broker.management}"
        return {"url": self.broker.url, "management": management, "firehose": "5"} | changes

    def make(self) -> Connector:
        around = Surroundings(name=self.name, reach=lambda host, port: [host])
        return buses.connector("rabbitmq", self.settings(), around)

    @contextmanager
    def opened(self, cursor: Cursor) -> Iterator[Connector]:
        connector = self.make()
        try:
            connector.open(cursor)
            yield connector
        finally:
            connector.close()

    def traced(self) -> bool:
        return bool(self.broker.api("GET", "vhosts/%2F")["tracing"])

    def told(self, connector: Connector, count: int) -> tuple[list[Record], list[Delivery]]:
        records: list[Record] = []
        found: list[Delivery] = []

        def came() -> bool:
            batch = connector.read(limit=100, wait=0.1)
            connector.settle(batch)
            records.extend(r for r in batch.records if r.channel == self.name)
            found.extend(d for d in batch.deliveries if d.subscriber == self.name)
            return len(found) >= count

        wait_for(came, f"{count} deliveries")
        return records, found

    def test_it_works(self) -> None:
        with self.opened({}) as connector:
            assert self.traced()
            self.client.publish(self.name, "a", b"{}", message_id="m-1")
            message = self.client.take(self.name)
            records, (received,) = self.told(connector, 1)
            assert (received.event_id, received.outcome, received.attempt) == ("m-1", "received", 1)
            assert [r.facts["routed_queues"] for r in records] == [[self.name]]
            self.client.channel.basic_reject(message.delivery_tag, requeue=True)
            message = self.client.take(self.name)
            _, again = self.told(connector, 2)
            assert [(d.outcome, d.attempt) for d in again] == [("failed", 1), ("received", 2)]
            self.client.channel.basic_ack(message.delivery_tag)
            _, (handled,) = self.told(connector, 1)
            assert (handled.outcome, handled.attempt, handled.evidence) == ("handled", 2, "passed")

    def test_what_goes_nowhere_is_seen(self) -> None:
        self.client.channel.queue_unbind(self.name, self.name, "#")
        with self.opened({}) as connector:
            self.client.publish(self.name, "a", b"lost", message_id="m-2")
            records: list[Record] = []

            def came() -> bool:
                batch = connector.read(limit=100, wait=0.1)
                records.extend(r for r in batch.records if r.channel == self.name)
                return bool(records)

            wait_for(came, "the publication")
        assert records[0].facts["routed_queues"] == []

    def test_it_ends_when_its_time_is_over(self) -> None:
        with self.opened({}) as connector:
            first = connector.read(limit=1, wait=0)
            assert first.cursor
            connector._firehose._until = 0  # type: ignore[attr-defined]
            connector.read(limit=1, wait=0)
            assert not self.traced()
        began = int(first.cursor["firehose"])
        long_ago = dict(first.cursor) | {"firehose": str(began - 6 * 60_000_000)}
        with self.opened(long_ago):
            assert not self.traced()

    def test_a_killed_tap_leaves_it_off(self) -> None:
        script = (
            "import sys, json, time; from apps.ingest import buses;"
            "from apps.ingest.connector import Surroundings;"
            "s = Surroundings(name='killed', reach=lambda host, port: [host]);"
            "c = buses.connector('rabbitmq', json.loads(sys.argv[1]), s);"
            "c.open({}); print('armed', flush=True); time.sleep(60)"
        )
        words = [sys.executable, "-c", script, json.dumps(self.settings())]
        with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"armed\n"
            assert self.traced()
            os.killpg(process.pid, signal.SIGKILL)
        wait_for(lambda: not self.traced(), "the firehose to be turned off")

    def test_what_somebody_else_turned_on_stays_on(self) -> None:
        self.broker.api("PUT", "vhosts/%2F", {"tracing": True})
        with self.opened({}):
            pass
        assert self.traced()
        assert any("stays on" in line.words for line in self.make().check().lines)
        self.broker.api("PUT", "vhosts/%2F", {"tracing": False})

    def test_checking_says_what_it_costs_and_turns_nothing_on(self) -> None:
        checked = self.make().check()
        assert checked.ok
        assert any("throughput" in line.words for line in checked.lines)
        assert not self.traced()


def raw_publish(client: Client, exchange: str, key: bytes, properties: bytes, body: bytes) -> None:
    """Publish with properties a library would not write."""
    name = exchange.encode()
    method = struct.pack(">HHHB", 60, 40, 0, len(name)) + name + bytes([len(key)]) + key + b"\0"
    header = struct.pack(">HHQ", 60, 0, len(body)) + properties
    frames = b"".join(
        struct.pack(">BHI", kind, client.channel.channel_id, len(data)) + data + b"\xce"
        for kind, data in ((1, method), (2, header), (3, body))
    )
    client.connection.transport.write(frames)
