"""A table's inserts from the write-ahead log, by a logical slot of our own and pgoutput.

The slot is peeked at, and moved on only once what was peeked is stored.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator
from contextlib import suppress
from struct import Struct, unpack_from

from psycopg import sql

from apps.ingest.connector import Batch, Cursor, Gap, Lag, Record, Refused, TapError
from apps.ingest.connectors.postgresql_wire import Wire, record, table_name

PAUSE_S = 0.2
LOOK_S = 10  # at whether the publication still has the table
AT_ONCE = 25_000  # changes asked for; each time the server begins to read a good way before them
FETCHED = 500
BYTES = 8 * 1024 * 1024
EPOCH_US = 946_684_800_000_000  # 2000-01-01, from where PostgreSQL counts
LANE = "log"

Column = tuple[str, int]  # with the oid of its type
Kind = tuple[str, str]  # with the name of its type, "" where that is not known
_short, _long = Struct(">H").unpack_from, Struct(">I").unpack_from


def slot_name(tap: str, database: str) -> str:
    """Return the name of a tap's slot and publication: slots are the whole server's."""
    which = hashlib.sha256(f"{tap} {database}".encode()).hexdigest()[:8]
    return f"evdebug_{re.sub('[^a-z0-9_]', '_', tap.lower())[:40]}_{which}"


class Slot:
    """The inserts of one table."""

    def __init__(self, wire: Wire, name: str, table: str, cursor: Cursor) -> None:
        self._wire, self._slot = wire, name
        self._schema, self._table = table_name(table)
        place = cursor.get(LANE, "").split(".")
        # The last transaction read, and how many of its changes.
        self._at = (int(place[0]), int(place[1])) if len(place) == 2 else (0, 0)
        self._gaps: list[Gap] = []
        self._types = dict(wire.ask("SELECT oid::int, typname FROM pg_type"))
        self._make(known=LANE in cursor)
        self._changes: Generator[tuple[int, int, Record | None]] | None = None
        self._whole: int | None = None  # the end of the last transaction peeked at

    def _make(self, *, known: bool) -> None:
        """Make the publication and the slot, where they are not there or not any more."""
        problems = [x.words for x in self._wire.slots_looked_at() if x.level == "problem"]
        if problems:
            raise Refused(" ".join(problems))
        self._publish(known=known)
        slots = self._wire.ask(
            "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", [self._slot]
        )
        if slots and slots[0][0] == "lost":
            self._wire.ask("SELECT pg_drop_replication_slot(%s)", [self._slot])
        if not slots or slots[0][0] == "lost":
            if known or slots:
                self._gaps.append(self._lost())
            self._wire.ask(
                "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self._slot]
            )

    def _publish(self, *, known: bool) -> None:
        """Have the publication be of our table, and of no other."""
        self._looked = time.monotonic()
        published = self._wire.ask(
            "SELECT t.schemaname, t.tablename FROM pg_publication p "
            "LEFT JOIN pg_publication_tables t USING (pubname) WHERE p.pubname = %s",
            [self._slot],
        )
        if published == [(self._schema, self._table)]:
            return
        if known and published == [(None, None)]:  # a table that is dropped leaves it
            self._gaps.append(self._begun_anew())
        change = "ALTER PUBLICATION {} SET TABLE {}"
        make = "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'insert')"
        table = sql.Identifier(self._schema, self._table)
        query = sql.SQL(change if published else make)
        self._wire.ask(query.format(sql.Identifier(self._slot), table))

    def _lost(self) -> Gap:
        return Gap(
            channel=f"{self._schema}.{self._table}", cause="retention", at=time.time_ns() // 1000,
            after=str(self._at[0]) if self._at[0] else "",
            words="The slot was dropped, or held back more than the database keeps; rows inserted "
            "since are lost.",
        )  # fmt: skip

    def _begun_anew(self) -> Gap:
        return Gap(
            channel=f"{self._schema}.{self._table}", cause="recreated", at=time.time_ns() // 1000,
            words="The table was dropped and made anew; rows inserted before evdebug saw that are "
            "lost.",
        )  # fmt: skip

    def read(self, limit: int, wait: float) -> Batch:
        until = time.monotonic() + wait
        while True:
            batch = self._round(limit)
            if batch or (left := until - time.monotonic()) <= 0:
                return batch
            time.sleep(min(left, PAUSE_S))

    def _round(self, limit: int) -> Batch:
        if self._changes is None and time.monotonic() - self._looked > LOOK_S:
            self._publish(known=True)
        gaps, self._gaps = self._gaps, []
        records: list[Record] = []
        size, ended = 0, False
        if self._changes is None:
            self._changes = self._peeked()
        while len(records) < limit and size < BYTES:
            change = next(self._changes, None)
            if change is None:
                self._changes, ended = None, True
                break
            commit, number, found = change
            if number < 0:  # the end of a transaction: what comes next is after it
                self._whole = commit
                continue
            if (commit, number) <= self._at:
                continue
            self._at = (commit, number)
            assert found is not None
            records.append(found)
            size += len(found.body or b"")
        token = self._whole if ended else None
        if ended:
            self._whole = None
        if not records and not gaps and token is None:
            return Batch()
        # Moving the slot on ends the peek, so it is done when a peek is at its end.
        cursor = {LANE: f"{self._at[0]}.{self._at[1]}"}
        return Batch(records, gaps=gaps, cursor=cursor, token=token)

    def _peeked(self) -> Generator[tuple[int, int, Record | None]]:
        """Yield (commit, number in it, record), and (end, -1, None) after each transaction."""
        options = [
            "proto_version", "1", "publication_names", self._slot, "messages", "true",
        ]  # fmt: skip
        query = (
            "SELECT data FROM pg_logical_slot_peek_binary_changes("
            "%s, NULL, %s, VARIADIC %s::text[])"
        )
        relations: dict[int, tuple[str, list[Kind]]] = {}
        commit = number = at = 0
        connection = self._wire.connection
        with (
            self._wire.mended(),
            connection.transaction(),
            connection.cursor("evdebug", binary=True) as rows,
        ):
            rows.itersize = FETCHED
            rows.execute(query, (self._slot, AT_ONCE, options))
            for (data,) in rows:
                kind = data[:1]
                if kind == b"B":
                    commit, at = unpack_from(">QQ", data, 1)
                    number = 0
                elif kind == b"R":
                    oid, name, typed = _relation(data)
                    kinds = [(column, self._types.get(of, "")) for column, of in typed]
                    relations[oid] = (name, kinds)
                elif kind == b"I":
                    number += 1
                    name, columns = relations[unpack_from(">I", data, 1)[0]]
                    yield commit, number, self._inserted(name, columns, data, (commit, number), at)
                elif kind == b"C":
                    yield unpack_from(">Q", data, 10)[0], -1, None

    def _inserted(
        self, name: str, columns: list[Kind], data: bytes, place: tuple[int, int], at: int
    ) -> Record:
        commit, number = place
        cells = [
            (column, _unescaped(value) if kind == "bytea" else value, kind)
            for (column, kind), value in zip(columns, _values(data), strict=True)
        ]  # fmt: skip
        facts = {"lsn": f"{commit >> 32:X}/{commit & 0xFFFFFFFF:X}"}
        return record(name, cells, f"{commit}.{number:06}", time=at + EPOCH_US, facts=facts)

    def settle(self, batch: Batch) -> None:
        """Let the database throw away the log up to the last transaction that is stored."""
        if batch.token is not None:
            at = f"{batch.token >> 32:X}/{batch.token & 0xFFFFFFFF:X}"
            self._wire.ask("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [self._slot, at])

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        """End a peek that is under way."""
        if self._changes is not None:
            with suppress(TapError):
                self._changes.close()


def drop(wire: Wire, name: str) -> None:
    """Drop a tap's slot and publication, where they are.  raises  Unreachable, Refused"""
    query = (
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
    )
    wire.ask(query, [name])
    wire.ask(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))


def _relation(data: bytes) -> tuple[int, str, list[Column]]:
    (oid,) = unpack_from(">I", data, 1)
    schema, at = _word(data, 5)
    name, at = _word(data, at)
    (count,) = unpack_from(">H", data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        column, at = _word(data, at + 1)
        columns.append((column, unpack_from(">I", data, at)[0]))
        at += 8
    return oid, f"{schema}.{name}", columns


def _word(data: bytes, at: int) -> tuple[str, int]:
    stop = data.index(0, at)
    return data[at:stop].decode("utf-8", "backslashreplace"), stop + 1


def _values(data: bytes) -> list[bytes | None]:
    values: list[bytes | None] = []
    at = 8
    for _ in range(_short(data, 6)[0]):
        if data[at] in b"nu":  # null, or a large value that was not changed
            values.append(None)
            at += 1
            continue
        begin = at + 5
        at = begin + _long(data, at + 1)[0]
        values.append(data[begin:at])
    return values


def _unescaped(value: bytes | None) -> bytes | None:
    if value is not None and value.startswith(b"\\x"):
        return bytes.fromhex(value[2:].decode())
    return value
