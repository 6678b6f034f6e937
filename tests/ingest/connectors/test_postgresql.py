"""PostgreSQL: an outbox polled and read from the log, and notifications, on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, ClassVar, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from apps.ingest import buses
from apps.ingest.connector import BadSettings, Connector, Cursor, Refused, Surroundings
from apps.ingest.connectors import postgresql_slot, postgresql_wire
from apps.ingest.connectors.postgresql_slot import slot_name
from tests import services
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port, wait_for

pytestmark = pytest.mark.slow  # the broker takes its time


class Database:
    """A database of a test's own."""

    def __init__(self, server: str) -> None:
        self.name = f"outbox_{uuid.uuid4().hex[:12]}"
        self.server = server
        self.url = services.make_database(server, self.name)
        self.connection = psycopg.connect(self.url, autocommit=True)

    def do(self, query: LiteralString, *values: Any) -> list[Any]:
        cursor = self.connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def drop_slots(self) -> None:
        for (slot,) in self.do(
            "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
        ):
            self.do("SELECT pg_drop_replication_slot(%s)", slot)

    def close(self) -> None:
        self.drop_slots()
        self.connection.close()
        services.drop_database(self.server, self.name)


class Outbox(ConnectorContract):
    bus = "postgresql"
    mode: ClassVar = "poll"

    @pytest.fixture(autouse=True)
    def _table(self, postgres: str) -> Iterator[None]:
        self.database = Database(postgres)
        self.database.do("CREATE TABLE outbox (id bigserial PRIMARY KEY, kind text, payload bytea)")
        self.prepare()
        yield
        self.database.close()

    def prepare(self) -> None:
        """Do what must be there before anything is published."""

    def settings(self) -> dict[str, str]:
        return {"url": self.database.url, "table": "outbox", "mode": self.mode}

    def unreachable(self) -> dict[str, str]:
        return {"url": f"postgresql://x@127.0.0.1:{free_port()}/x", "table": "outbox"}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.database.do("INSERT INTO outbox (kind, payload) VALUES ('Paid', %s)", body)

    def test_a_row_is_its_payload_and_headers(self) -> None:
        self.publish([b"{}"])
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        assert record.channel == "public.outbox"
        assert record.headers == (("id", b"1"), ("kind", b"Paid"))

    def test_wrong_credentials_are_refused_and_not_repeated(self) -> None:
        parts = urlsplit(self.database.url)
        url = urlunsplit(parts._replace(netloc=f"postgres:wrong-word@127.0.0.1:{parts.port}"))
        with pytest.raises(Refused) as refusal:
            self.make(url=url).open({})
        assert "wrong-word" not in str(refusal.value)


class TestPolled(Outbox):
    def standing(self) -> Any:
        return self.database.do("SELECT * FROM pg_replication_slots"), self.database.do(
            "SELECT pubname FROM pg_publication"
        )

    def test_a_transaction_that_ends_late_is_not_passed_over(self) -> None:
        with psycopg.connect(self.database.url) as slow:
            slow.execute("INSERT INTO outbox (payload) VALUES ('slow')")
            self.publish([b"quick"])
            with self.opened() as connector:
                (batch,) = self.batches(connector, 1)
            slow.commit()
        assert [r.body for r in batch.records] == [b"quick"]
        with self.opened(batch.cursor) as connector:
            assert self.bodies(connector, 1) == [b"slow"]

    def test_an_outbox_is_a_row_as_json(self) -> None:
        self.database.do(
            "CREATE TABLE box (seq bigserial PRIMARY KEY, id uuid, aggregatetype text, "
            "aggregateid text, type text, payload jsonb)"
        )
        some = "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"
        self.database.do(
            "INSERT INTO box (id, aggregatetype, aggregateid, type, payload) "
            "VALUES (%s, 'order', '7', 'Paid', '{\"a\": 1}')", some,
        )  # fmt: skip
        with self.opened(table="public.box") as connector:
            assert self.bodies(connector, 1) == [
                b'{"seq":1,"id":"%s","aggregatetype":"order","aggregateid":"7","type":"Paid",'
                b'"payload":{"a": 1}}' % some.encode()
            ]

    ANEW: ClassVar[dict[str, LiteralString]] = {
        "made anew": "DROP TABLE outbox; "
        "CREATE TABLE outbox (id bigserial PRIMARY KEY, kind text, payload bytea)",
        "emptied": "TRUNCATE outbox RESTART IDENTITY",
    }

    @pytest.mark.parametrize("how", list(ANEW))
    @pytest.mark.parametrize("reading", [True, False])
    def test_a_table_that_begins_again_is_another_epoch(self, how: str, reading: bool) -> None:
        self.publish(self.numbered(3))
        with self.opened() as connector:
            batch = self.batches(connector, 3)[-1]
            self.database.do(self.ANEW[how])
            self.publish([b"new"])
            if reading:
                found = self.batches(connector, 1)
        if not reading:
            with self.opened(batch.cursor) as connector:
                found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["recreated"]
        records = [r for b in found for r in b.records]
        assert [(r.body, r.offset, r.epoch) for r in records] == [(b"new", "1", "1")]

    @pytest.mark.parametrize("change", ["TRUNCATE outbox", "VACUUM FULL outbox"])
    def test_a_table_whose_numbers_go_on_is_the_same(self, change: LiteralString) -> None:
        self.publish(self.numbered(3))
        with self.opened() as connector:
            self.batches(connector, 3)
            self.database.do(change)
            self.publish([b"new"])
            found = self.batches(connector, 1)
        assert not [g for b in found for g in b.gaps]
        assert [(r.body, r.offset, r.epoch) for b in found for r in b.records] == [
            (b"new", "4", "")
        ]

    def test_a_table_without_a_number_is_refused(self) -> None:
        self.database.do("CREATE TABLE other (id uuid PRIMARY KEY, payload text)")
        with self.opened(table="other") as connector, pytest.raises(Refused, match="mode=slot"):
            connector.read(limit=1, wait=0)
        assert not self.make(table="other").check().ok
        assert not self.make(table="not_there").check().ok

    def test_it_can_start_now(self) -> None:
        self.publish([b"old"])
        with self.opened(start="now") as connector:
            self.publish([b"new"])
            assert self.bodies(connector, 1) == [b"new"]

    @pytest.mark.parametrize(
        "changes",
        [{"table": ""}, {"channels": "a"}, {"table": 'a"b'}, {"mode": "x"}, {"url": "mysql://h"}],
    )
    def test_settings_that_make_no_sense_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(BadSettings):
            self.make(**changes)


class TestSlot(Outbox):
    mode: ClassVar = "slot"
    begins: ClassVar = False  # the slot stands where it was made
    stays: ClassVar = True

    def prepare(self) -> None:
        with self.opened() as connector:
            connector.read(limit=1, wait=0)

    def everything(self) -> Any:
        return (
            self.database.do(
                "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
            ),
            self.database.do("SELECT pubname FROM pg_publication"),
        )

    def test_two_taps_of_one_name_have_a_slot_each(self) -> None:
        """Such as those of two evdebugs: each gets everything."""
        self.publish([b"1"])
        other = buses.connector(self.bus, self.settings(), self.around(name="contract-of-another"))
        with self.opened() as connector:
            other.open({})
            self.publish([b"2"])
            assert self.bodies(connector, 2) == [b"1", b"2"]
            assert self.bodies(other, 1) == [b"2"]
            other.close()
            other.leave()  # type: ignore[attr-defined]
            self.publish([b"3"])
            assert self.bodies(connector, 1) == [b"3"]

    def test_another_table_is_read_after_a_change(self) -> None:
        self.database.do("CREATE TABLE later (id bigserial PRIMARY KEY, payload bytea)")
        self.publish([b"1"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        with self.opened(batch.cursor, table="later") as connector:
            self.publish([b"not this"])
            self.database.do("INSERT INTO later (payload) VALUES ('2')")
            assert self.bodies(connector, 1) == [b"2"]

    def test_rows_deleted_at_once_are_seen(self) -> None:
        with self.database.connection.transaction():
            self.publish([b"1", b"2"])
            self.database.do("DELETE FROM outbox")
        with self.opened() as connector:
            assert self.bodies(connector, 2) == [b"1", b"2"]

    def test_a_transaction_is_resumed_in_its_middle(self) -> None:
        with self.database.connection.transaction():
            self.publish(self.numbered(5))
        with self.opened() as connector:
            (first,) = self.batches(connector, 2, limit=2)
        with self.opened(first.cursor) as connector:
            assert self.bodies(connector, 3) == self.numbered(5)[2:]

    def test_what_is_stored_is_let_go(self) -> None:
        query = (
            "SELECT confirmed_flush_lsn FROM pg_replication_slots "
            "WHERE database = current_database()"
        )
        ((before,),) = self.database.do(query)
        self.publish([b"1"])
        with self.opened() as connector:
            assert self.bodies(connector, 1) == [b"1"]
            self.wait_for(lambda: self.moved(connector, query, before), "the slot to move")

    def moved(self, connector: Connector, query: LiteralString, before: str) -> bool:
        connector.settle(connector.read(limit=1, wait=0))
        return self.database.do(query) != [(before,)]

    def test_a_slot_that_was_dropped_is_a_gap(self) -> None:
        self.publish([b"1"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        self.database.drop_slots()
        with self.opened(batch.cursor) as connector:
            self.publish([b"2"])
            found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["retention"]
        assert [r.body for b in found for r in b.records] == [b"2"]

    @pytest.mark.parametrize("reading", [True, False])
    def test_a_table_made_anew_is_a_gap(
        self, reading: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgresql_slot, "LOOK_S", 0)
        self.publish([b"1"])
        with self.opened() as connector:
            batch = self.batches(connector, 1)[-1]
            self.database.do("DROP TABLE outbox")
            self.database.do("CREATE TABLE outbox (id bigserial PRIMARY KEY, payload bytea)")
            if reading:
                self.gap(connector)
                self.database.do("INSERT INTO outbox (payload) VALUES ('2')")
                assert self.bodies(connector, 1) == [b"2"]
                return
        self.database.do("INSERT INTO outbox (payload) VALUES ('lost')")
        with self.opened(batch.cursor) as connector:
            self.gap(connector)
            self.database.do("INSERT INTO outbox (payload) VALUES ('2')")
            assert self.bodies(connector, 1) == [b"2"]

    def gap(self, connector: Connector) -> None:
        """Read until the gap of a table made anew is told."""
        found: list[str] = []

        def came() -> bool:
            batch = connector.read(limit=10, wait=0.2)
            found.extend(g.cause for g in batch.gaps)
            connector.settle(batch)
            return bool(found)

        self.wait_for(came, "a gap")
        assert found == ["recreated"]

    def test_a_slot_that_held_back_too_much_is_a_gap(self) -> None:
        self.publish([b"1"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        self.publish([b"lost"])

        def lost() -> bool:
            """Use up a file of the log without writing it."""
            self.database.do("SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()")
            self.database.do("CHECKPOINT")
            query = (
                "SELECT 1 FROM pg_replication_slots "
                "WHERE database = current_database() AND wal_status = 'lost'"
            )
            return bool(self.database.do(query))

        self.wait_for(lost, "the slot to be given up by the database")
        with self.opened(batch.cursor) as connector:
            self.publish([b"2"])
            found = self.batches(connector, 1)
        assert [g.cause for b in found for g in b.gaps] == ["retention"]
        assert [r.body for b in found for r in b.records] == [b"2"]

    def test_a_database_whose_disk_it_could_fill_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connector = self.make()
        asked = postgresql_wire.Wire.ask

        def unbounded(wire: Any, query: Any, values: Any = ()) -> Any:
            if "max_slot_wal_keep_size" in str(query):
                return [("logical", "-1")]
            return asked(wire, query, values)

        monkeypatch.setattr(postgresql_wire.Wire, "ask", unbounded)
        with pytest.raises(Refused, match="max_slot_wal_keep_size"):
            connector.open({})
        assert not connector.check().ok


class TestNotifications:
    @pytest.fixture(autouse=True)
    def _database(self, postgres: str) -> Iterator[None]:
        self.database = Database(postgres)
        yield
        self.database.close()

    def opened(self, cursor: Cursor) -> Connector:
        around = Surroundings(name="notify", reach=lambda host, port: [host])
        settings = {"url": self.database.url, "channels": "orders Mixed"}
        found = buses.connector("postgresql", settings, around)
        found.open(cursor)
        return found

    def test_it_works(self) -> None:
        connector = self.opened({})
        self.database.connection.execute(
            sql.SQL("NOTIFY orders, '{}'; NOTIFY \"Mixed\", 'x'; NOTIFY other, 'y'")
        )
        found: list[tuple[str, bytes | None]] = []

        def came() -> bool:
            found.extend((r.channel, r.body) for r in connector.read(limit=10, wait=0.1).records)
            return len(found) == 2

        wait_for(came, "two notifications")
        assert found == [("orders", b"{}"), ("Mixed", b"x")]
        connector.close()

    def test_what_nobody_heard_is_a_gap(self) -> None:
        first = self.opened({})
        cursor = first.read(limit=1, wait=0).cursor
        first.close()
        assert cursor
        again = self.opened(cursor)
        assert [g.cause for g in again.read(limit=1, wait=0).gaps] == ["disconnected"] * 2
        again.close()


del Outbox, ConnectorContract  # not tests by themselves


def test_taps_of_one_name_on_two_databases_of_a_server_have_slots_of_their_own() -> None:
    names = {slot_name("orders-1", database) for database in ("shop", "bank")}
    assert len(names) == 2
    assert len(slot_name("x" * 200, "y" * 63)) <= 63
    assert slot_name("Ünd-1", "shop").isascii()
