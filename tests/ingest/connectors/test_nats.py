"""NATS: a stream and its consumers, and core subjects, on a real server."""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from nats.js.api import RetentionPolicy, StreamConfig

from apps.ingest import buses
from apps.ingest.connector import (
    BadSettings,
    Connector,
    Cursor,
    Record,
    Refused,
    Surroundings,
    Unreachable,
)
from apps.ingest.connectors import nats_stream
from tests import brokers
from tests.ingest.connector_contract import ConnectorContract
from tests.ingest.connectors.nats_clients import Clients
from tests.services import free_port, wait_for

pytestmark = pytest.mark.slow  # the broker takes its time


class TestStream(ConnectorContract):
    bus = "nats"

    @pytest.fixture(autouse=True)
    def _stream(self, nats: brokers.Nats) -> Iterator[None]:
        self.broker = nats
        self.name = f"S{uuid.uuid4().hex}"
        self.clients = Clients(nats.url)
        self.made(StreamConfig(name=self.name, subjects=[f"{self.name}.>"]))
        yield
        self.clients.run(self.clients.js.delete_stream(self.name))
        self.clients.close()

    def made(self, config: StreamConfig) -> None:
        self.clients.run(self.clients.js.add_stream(config))

    def settings(self) -> dict[str, str]:
        return {"url": self.broker.url, "stream": self.name}

    def unreachable(self) -> dict[str, str]:
        return {"url": f"nats://127.0.0.1:{free_port()}", "stream": self.name}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.clients.run(self.clients.js.publish(f"{self.name}.a", body))

    def standing(self) -> Any:
        info = self.clients.run(self.clients.js.stream_info(self.name))
        consumers = self.clients.run(self.clients.js.consumers_info(self.name))
        return info.state.messages, info.config, [c.name for c in consumers]

    def test_a_message_has_its_subject_headers_and_place(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.broker.port))
        head = b"NATS/1.0\r\nce-type: Paid\r\ntag: a\r\ntag: b\r\nContent-Type: text/plain\r\n\r\n"
        raw.sendall(
            b"CONNECT {\"headers\":true}\r\nHPUB %s.x %d %d\r\n%s{}\r\nPING\r\n"
            % (self.name.encode(), len(head), len(head) + 2, head)
        )  # fmt: skip
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        raw.close()
        assert record.headers == (
            ("ce-type", b"Paid"), ("tag", b"a"), ("tag", b"b"), ("Content-Type", b"text/plain"),
        )  # fmt: skip
        assert (record.channel, record.offset, record.key) == (self.name, "1", f"{self.name}.x")
        assert record.content_type == "text/plain"

    def test_what_was_removed_before_it_was_read_is_a_gap(self) -> None:
        self.publish(self.numbered(10))
        with self.opened() as connector:
            (batch,) = self.batches(connector, 3, limit=3)
        self.clients.run(self.clients.js.purge_stream(self.name, seq=8))
        with self.opened(batch.cursor) as connector:
            later = self.batches(connector, 3)
        (gap,) = [g for b in later for g in b.gaps]
        assert (gap.cause, gap.count, gap.after, gap.upto) == ("retention", 4, "3", "7")

    def test_a_stream_made_anew_is_another_epoch(self) -> None:
        self.publish([b"a", b"b"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 2)
            self.clients.run(self.clients.js.delete_stream(self.name))
            with pytest.raises((Unreachable, Refused)):
                self.batches(connector, 10)
        self.made(StreamConfig(name=self.name, subjects=[f"{self.name}.>"]))
        self.publish([b"c"])
        with self.opened(batch.cursor) as connector:
            later = self.batches(connector, 1)
        assert [g.cause for b in later for g in b.gaps] == ["recreated"]
        records = [r for b in later for r in b.records]
        assert [(r.body, r.offset, r.epoch) for r in records] == [(b"c", "1", "1")]

    def test_it_survives_a_crash_of_the_server(self) -> None:
        self.publish([b"1", b"2"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1, limit=1)
            self.clients.close()
            self.broker.restart(signal.SIGKILL)
            with pytest.raises(Unreachable):
                self.batches(connector, 10)
        self.clients = Clients(self.broker.url)
        with self.opened(batch.cursor) as connector:
            assert self.bodies(connector, 1) == [b"2"]

    def test_a_killed_taps_consumer_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nats_stream, "EXPIRES_S", 2)
        monkeypatch.setattr(nats_stream, "BEAT_S", 1)
        self.publish([b"1"])
        before = self.standing()
        connector = self.make()
        connector.open({})
        assert self.bodies(connector, 1) == [b"1"]
        assert self.standing() != before
        connector._wire._socket.close()  # type: ignore[attr-defined]
        self.wait_for(lambda: self.standing() == before, "its consumer to expire")

    @pytest.mark.parametrize("kept", [RetentionPolicy.WORK_QUEUE, RetentionPolicy.INTEREST])
    def test_a_stream_it_would_disturb_is_refused(self, kept: RetentionPolicy) -> None:
        self.clients.run(self.clients.js.delete_stream(self.name))
        self.made(StreamConfig(name=self.name, subjects=[f"{self.name}.>"], retention=kept))
        with pytest.raises(Refused, match="subjects="):
            self.make().open({})
        assert not self.make().check().ok

    def test_it_starts_where_it_is_told(self) -> None:
        self.publish([b"old"])
        with self.opened(start="now") as connector:
            assert not connector.read(limit=10, wait=0.1).records
            self.publish([b"new"])
            assert self.bodies(connector, 1) == [b"new"]
        with self.opened(start="2020-01-01T00:00:00Z") as connector:
            assert self.bodies(connector, 2) == [b"old", b"new"]

    def test_a_stream_that_is_not_there_is_said_to_be(self) -> None:
        with pytest.raises(Refused, match="no stream NOT"):
            self.make(stream="NOT").open({})
        assert not self.make(stream="NOT").check().ok

    @pytest.mark.parametrize(
        "changes", [{"stream": ""}, {"subjects": "a.>"}, {"stream": "a.b"}, {"url": "amqp://h"}]
    )
    def test_settings_that_make_no_sense_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(BadSettings):
            self.make(**changes)


class TestSubjects:
    @pytest.fixture(autouse=True)
    def _clients(self, nats: brokers.Nats) -> Iterator[None]:
        self.url = nats.url
        self.clients = Clients(nats.url)
        self.name = f"c{uuid.uuid4().hex}"
        yield
        self.clients.close()

    def opened(self, cursor: Cursor) -> Connector:
        around = Surroundings(name="subjects", reach=lambda host, port: [host])
        settings = {"url": self.url, "subjects": f"{self.name}.>"}
        found = buses.connector("nats", settings, around)
        found.open(cursor)
        return found

    def test_it_works(self) -> None:
        connector = self.opened({})
        for body in (b"", b"\x00\xff", b"{}"):
            self.clients.run(self.clients.client.publish(f"{self.name}.a.b", body))
        self.clients.run(self.clients.client.flush())
        records: list[Record] = []

        def came() -> bool:
            records.extend(connector.read(limit=2, wait=0.1).records)
            return len(records) == 3

        wait_for(came, "three records")
        assert [r.body for r in records] == [b"", b"\x00\xff", b"{}"]
        assert {r.channel for r in records} == {f"{self.name}.a.b"}
        connector.close()

    def test_what_nobody_heard_is_a_gap(self) -> None:
        first = self.opened({})
        cursor = first.read(limit=10, wait=0).cursor
        first.close()
        assert cursor
        again = self.opened(cursor)
        assert [g.cause for g in again.read(limit=10, wait=0).gaps] == ["disconnected"]
        assert not again.read(limit=10, wait=0)
        again.close()

    def test_it_says_that_it_is_lossy(self) -> None:
        connector = self.opened({})
        assert connector.guarantee().level == "lossy"
        assert connector.check().ok
        connector.close()


def test_a_server_of_another_kind_is_told_from_one_that_is_away() -> None:
    """HTTP, or whatever else listens on that port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        peer, _ = listener.accept()
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.recv(1000)
        peer.close()

    thread = threading.Thread(target=answer)
    thread.start()
    around = Surroundings(name="x", reach=lambda host, port: [host])
    url = f"nats://127.0.0.1:{listener.getsockname()[1]}"
    (line,) = buses.connector("nats", {"url": url, "subjects": "a"}, around).check().lines
    assert "does not speak as NATS does" in line.words
    thread.join()
    listener.close()
