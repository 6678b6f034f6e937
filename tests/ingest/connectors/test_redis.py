"""Redis: streams and channels of a real server, and what two looks at a group say."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

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
from tests import brokers
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port, wait_for


class TestStreams(ConnectorContract):
    """A stream of a test's own."""

    bus = "redis"

    @pytest.fixture(autouse=True)
    def _stream(self, redis_broker: brokers.Redis) -> Iterator[None]:
        self.broker = redis_broker
        self.client: Any = redis.Redis(port=redis_broker.port)
        self.key = f"s-{uuid.uuid4().hex}"
        yield
        self.client.delete(self.key)
        self.client.close()

    def settings(self) -> dict[str, str]:
        return {"url": self.broker.url, "streams": self.key}

    def unreachable(self) -> dict[str, str]:
        return {"url": f"redis://127.0.0.1:{free_port()}", "streams": self.key}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.client.xadd(self.key, {"data": body})

    def add(self, count: int = 1) -> list[str]:
        return [self.client.xadd(self.key, {"data": b"%d" % n}).decode() for n in range(count)]

    def standing(self) -> Any:
        clients = [c["name"] for c in self.client.client_list()]
        return self.client.xinfo_stream(self.key, full=True), sorted(clients)

    def until(self, connector: Connector, what: str, count: int) -> list[Any]:
        """Read until `count` deliveries or gaps came, and return them."""
        found: list[Any] = []

        def came() -> bool:
            found.extend(getattr(connector.read(limit=1000, wait=0.05), what))
            return len(found) >= count

        wait_for(came, f"{count} {what}")
        return found

    def test_an_entry_is_its_carrier_and_headers_or_its_fields(self) -> None:
        self.client.xadd(self.key, {"type": "Paid", "payload": b"{}", "n": "1"})
        self.client.xadd(self.key, {"sku": "7", "raw": b"\xff"})
        self.client.execute_command("XADD", self.key, "*", "tag", "a", "tag", "b", "n", "1")
        with self.opened() as connector:
            one, two, three = [r for b in self.batches(connector, 3) for r in b.records]
        assert (one.body, one.headers) == (b"{}", (("type", b"Paid"), ("n", b"1")))
        assert two.body == b'{"sku":"7","raw":{"base64":"/w=="}}'
        assert three.body == b'{"tag":["a","b"],"n":"1"}'
        assert one.time == int(one.offset.partition("-")[0]) * 1000

    def test_what_was_trimmed_before_it_was_read_is_a_gap(self) -> None:
        ids = self.add(10)
        with self.opened() as connector:
            (batch,) = self.batches(connector, 3, limit=3)
        self.client.xtrim(self.key, minid=ids[7], approximate=False)
        with self.opened(batch.cursor) as connector:
            (later,) = self.batches(connector, 3)
        assert [r.offset for r in later.records] == ids[7:]
        (gap,) = later.gaps
        assert (gap.cause, gap.count, gap.after) == ("retention", 4, ids[2])

    def test_what_was_deleted_one_by_one_is_a_gap(self) -> None:
        ids = self.add(6)
        self.client.xdel(self.key, ids[1])  # before we came: not ours to miss
        with self.opened() as connector:
            (batch,) = self.batches(connector, 2, limit=2)
            self.client.xdel(self.key, ids[3], ids[5])
            (gap,) = self.until(connector, "gaps", 1)
        assert [r.offset for r in batch.records] == [ids[0], ids[2]]
        assert (gap.cause, gap.count) == ("retention", 2)

    def test_an_emptied_stream_is_a_gap_and_goes_on(self) -> None:
        self.add(5)
        with self.opened() as connector:
            self.batches(connector, 2, limit=2)
            self.client.xtrim(self.key, maxlen=0, approximate=False)
            (gap,) = self.until(connector, "gaps", 1)
            (new,) = self.add(1)
            (batch,) = self.batches(connector, 1)
        assert gap.count == 3
        assert [r.offset for r in batch.records] == [new]
        assert not batch.gaps

    @pytest.mark.parametrize("watching", [True, False])
    def test_a_stream_made_anew_is_another_epoch(self, watching: bool) -> None:
        self.client.xadd(self.key, {"data": b"a"}, id="5-0")
        self.client.xadd(self.key, {"data": b"b"}, id="6-0")
        with self.opened() as connector:
            (batch,) = self.batches(connector, 2)
            self.client.delete(self.key)
            if watching:
                connector.read(limit=10, wait=0)
            self.client.xadd(self.key, {"data": b"c"}, id="5-0" if watching else "7-0")
            if watching:
                found = self.batches(connector, 1)
        if not watching:
            with self.opened(batch.cursor) as connector:
                found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["recreated"]
        assert [(r.body, r.epoch) for b in found for r in b.records] == [(b"c", "1")]

    def test_a_redis_that_lost_its_last_moments_is_read_on(self) -> None:
        for n in (1, 2, 3):
            self.client.xadd(self.key, {"data": b"%d" % n}, id=f"{n}-0")
        with self.opened() as connector:
            (batch,) = self.batches(connector, 3)
        self.client.delete(self.key)
        for n, body in ((1, b"1"), (2, b"2"), (3, b"other")):
            self.client.xadd(self.key, {"data": body}, id=f"{n}-0")
        self.client.xdel(self.key, "3-0")
        set_back = ("XSETID", self.key, "2-0", "ENTRIESADDED", "2", "MAXDELETEDID", "0-0")
        self.client.execute_command(*set_back)
        with self.opened(batch.cursor) as connector:
            connector.read(limit=10, wait=0)
            self.client.xadd(self.key, {"data": b"new"}, id="3-0")
            (later,) = self.batches(connector, 1)
        assert [(r.body, r.offset, r.epoch) for r in later.records] == [(b"new", "3-0", "")]
        assert not later.gaps

    def test_it_survives_a_crash_of_redis(self) -> None:
        self.add(4)
        with self.opened() as connector:
            (batch,) = self.batches(connector, 2, limit=2)
            self.broker.restart(signal.SIGKILL)
            with pytest.raises(Unreachable):
                self.batches(connector, 10)
        with self.opened(batch.cursor) as connector:
            assert self.bodies(connector, 2) == [b"2", b"3"]

    def test_it_starts_where_it_is_told(self) -> None:
        self.client.xadd(self.key, {"data": b"old"}, id="1700000000000-0")
        self.client.xadd(self.key, {"data": b"new"}, id="1800000000000-0")
        with self.opened(start="2025-01-01T00:00:00Z") as connector:
            assert self.bodies(connector, 1) == [b"new"]
        with self.opened(start="now") as connector:
            assert not connector.read(limit=10, wait=0).records
            self.client.xadd(self.key, {"data": b"newest"}, id="1900000000000-0")
            assert self.bodies(connector, 1) == [b"newest"]

    def test_many_streams_share_a_batch(self) -> None:
        other = f"{self.key}-b"
        self.add(3)
        self.client.xadd(other, {"data": b"b"})
        with self.opened(streams=f"{self.key} {other}") as connector:
            batches = self.batches(connector, 4, limit=2)
        assert {r.channel for b in batches for r in b.records} == {self.key, other}
        self.client.delete(other)

    def test_entries_of_megabytes_come_a_few_at_a_time(self) -> None:
        self.publish([b"x" * (4 << 20)] * 6)
        with self.opened() as connector:
            self.batches(connector, 6, limit=1000)
            assert connector.lag().records == 0

    def test_it_only_needs_the_right_to_read(self) -> None:
        self.add(1)
        self.client.execute_command(
            "ACL", "SETUSER", "tap", "on", ">secret", f"~{self.key}", "+xread", "+xrange",
            "+xrevrange", "+xinfo", "+xpending", "+xlen", "+type", "+time", "+multi", "+exec",
            "+client", "+select",
        )  # fmt: skip
        url = f"redis://tap:secret@127.0.0.1:{self.broker.port}"
        with self.opened(url=url) as connector:
            assert self.bodies(connector, 1) == [b"0"]
        assert self.make(url=url).check().ok
        wrong = self.make(url=url.replace("secret", "wrong-word"))
        with pytest.raises(Refused) as refusal:
            wrong.open({})
        assert "wrong-word" not in str(refusal.value)
        (line,) = wrong.check().lines
        assert "wrong-word" not in line.words

    def test_a_key_of_another_kind_is_a_problem(self) -> None:
        self.client.set(self.key, "x")
        checked = self.make().check()
        assert not checked.ok
        assert "string, not a stream" in checked.lines[-1].words
        with pytest.raises(Refused, match="WRONGTYPE"):
            self.make().open({})

    @pytest.mark.parametrize("changes", [
        {"streams": ""}, {"channels": "a"}, {"url": "http://127.0.0.1"}, {"url": "redis://h/x"},
        {"start": "soon"},
    ])  # fmt: skip
    def test_settings_that_make_no_sense_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(BadSettings):
            self.make(**changes)


class TestChannels:
    @pytest.fixture(autouse=True)
    def _client(self, redis_broker: brokers.Redis) -> Iterator[None]:
        self.url = redis_broker.url
        self.client: Any = redis.Redis(port=redis_broker.port)
        yield
        self.client.close()

    def opened(self, cursor: Cursor) -> Connector:
        around = Surroundings(name="channels", reach=lambda host, port: [host])
        settings = {"url": self.url, "channels": "orders stock.*"}
        found = buses.connector("redis", settings, around)
        found.open(cursor)
        return found

    def test_it_works(self) -> None:
        connector = self.opened({})
        self.client.publish("orders", b"\x00\xff")
        self.client.publish("orders.not", b"-")
        self.client.publish("stock.sku-7", "{}")
        records: list[Record] = []

        def came() -> bool:
            records.extend(connector.read(limit=1, wait=0.1).records)
            return len(records) == 2

        wait_for(came, "two records")
        assert [(r.channel, r.body) for r in records] == [
            ("orders", b"\x00\xff"),
            ("stock.sku-7", b"{}"),
        ]
        assert self.client.pubsub_numsub("orders") == [(b"orders", 1)]
        connector.close()
        wait_for(lambda: self.client.pubsub_numsub("orders") == [(b"orders", 0)], "its leaving")

    def test_what_nobody_heard_is_a_gap(self) -> None:
        first = self.opened({})
        cursor = first.read(limit=10, wait=0).cursor
        first.close()
        assert cursor
        again = self.opened(cursor)
        gaps = again.read(limit=10, wait=0).gaps
        assert [(g.channel, g.cause) for g in gaps] == [
            ("orders", "disconnected"),
            ("stock.*", "disconnected"),
        ]
        assert not again.read(limit=10, wait=0)
        again.close()

    def test_it_says_that_it_is_lossy(self) -> None:
        connector = self.opened({})
        assert connector.guarantee().level == "lossy"
        assert connector.check().ok
        connector.close()
