"""A table asked for new rows, by its integer key.

Numbers are given out in one order and committed in another, so behind the newest row there may be
holes that fill later. A hole is asked for until every transaction that ran when it was seen has
ended, and a while longer: who has a number already may not be counted as running yet.

A table that was made anew, or emptied with its numbers begun again, gives numbers that were read
before: it is read from its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import sql

from apps.ingest.connector import Batch, Cursor, Gap, Lag, Line, Record, Refused
from apps.ingest.connectors.postgresql_wire import Wire, record, table_name

PAUSE_S = 0.2
HOLE_S = 60
HOLES = 20_000
FIRST = 1000  # keys before the first row that may be rows to come
BYTES = 8 * 1024 * 1024
LANE = "rows"
SEEN = """
    SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint,
        to_regclass(%(table)s)::oid::bigint, pg_relation_filenode(to_regclass(%(table)s))::bigint,
        CASE WHEN has_sequence_privilege(q, 'SELECT')
            THEN coalesce(pg_sequence_last_value(q::regclass), 0) END
    FROM pg_current_snapshot() s, pg_get_serial_sequence(%(table)s, %(key)s) q
"""


class Table(msgspec.Struct, frozen=True):
    """What tells whether a table is the one it was."""

    oid: int | None
    file: int | None  # another after TRUNCATE, and after some ways of tidying up
    given: int | None  # the last number its sequence gave out; None where that cannot be seen

    def is_anew(self, before: Table) -> bool:
        """Return whether numbers may be given out again since `before`."""
        if self.oid != before.oid:
            return True
        if self.given is None or before.given is None:
            return False
        return self.file != before.file and self.given < before.given


class Place(msgspec.Struct):
    """How far the table is read."""

    last: int | None = None
    holes: dict[int, tuple[int, float]] = {}  # key to (first transaction after, when it was seen)
    table: Table | None = None
    generation: int = 0

    @property
    def epoch(self) -> str:
        return str(self.generation) if self.generation else ""


class Polled:
    """One table."""

    def __init__(self, wire: Wire, table: str, cursor: Cursor, start: str) -> None:
        self._wire = wire
        self._schema, self._name = table_name(table)
        self._columns = self._described()
        self._place = msgspec.json.decode(cursor[LANE], type=Place) if LANE in cursor else Place()
        self._untold = LANE not in cursor
        if self._untold and start == "now" and not self._refused():
            ((last,),) = wire.ask(self._query("SELECT max({key}) FROM {table}"))
            self._place.last = last

    def _described(self) -> list[tuple[str, str]]:
        rows = self._wire.ask(
            "SELECT column_name, udt_name FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (self._schema, self._name),
        )
        keys = self._wire.ask(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a "
            "ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
            "WHERE i.indrelid = to_regclass(%s) AND (i.indisprimary OR i.indisunique) "
            "AND i.indnatts = 1 ORDER BY i.indisprimary DESC",
            (f'"{self._schema}"."{self._name}"',),
        )
        kinds = dict(rows)
        whole = [name for (name,) in keys if kinds.get(name) in ("int2", "int4", "int8")]
        self._key = whole[0] if whole else ""
        return [(name, kind) for name, kind in rows]

    def _refused(self) -> str:
        if not self._columns:
            return f"There is no table {self._schema}.{self._name}, or no right to read it."
        if not self._key:
            return (
                f"{self._schema}.{self._name} has no integer column with a unique index to ask "
                "after; read it with mode=slot."
            )
        return ""

    def looked_at(self) -> list[Line]:
        """Return what is to be said of the table."""
        if refused := self._refused():
            return [Line("problem", refused)]
        return [Line("ok", f"{self._schema}.{self._name} can be read by its column {self._key}.")]

    def sample(self) -> Sequence[Record]:
        """Return the newest rows."""
        if self._refused():
            return ()
        rows = self._wire.ask(self._query("SELECT {cells} FROM {table} ORDER BY 1 DESC LIMIT 3"))
        return [self._record(row) for row in reversed(rows)]

    def _query(self, text: str) -> sql.Composed:
        # As text, but for bytes: so a value looks as the producer's own tools show it.
        cells = [
            sql.SQL("{}").format(sql.Identifier(name))
            if kind == "bytea" else sql.SQL("{}::text").format(sql.Identifier(name))
            for name, kind in self._columns
        ]  # fmt: skip
        key = sql.Identifier(self._key) if self._key else sql.SQL("NULL")
        return sql.SQL(text).format(
            key=key, table=sql.Identifier(self._schema, self._name),
            cells=sql.SQL(", ").join([sql.SQL("{}").format(key), *cells]),
        )  # fmt: skip

    def _record(self, row: Sequence[Any]) -> Record:
        cells = [
            (name, value.encode() if isinstance(value, str) else value, kind)
            for (name, kind), value in zip(self._columns, row[1:], strict=True)
        ]
        found = record(f"{self._schema}.{self._name}", cells, str(row[0]))
        return msgspec.structs.replace(found, epoch=self._place.epoch)

    def read(self, limit: int, wait: float) -> Batch:
        if refused := self._refused():
            raise Refused(refused)
        until = time.monotonic() + wait
        while True:
            gaps: list[Gap] = []
            rows = self._rows(limit, gaps)
            if rows or gaps or self._untold:
                self._untold = False
                cursor = {LANE: msgspec.json.encode(self._place).decode()}
                return Batch([self._record(row) for row in rows], gaps=gaps, cursor=cursor)
            if (left := until - time.monotonic()) <= 0:
                return Batch()
            time.sleep(min(left, PAUSE_S))

    def _rows(self, limit: int, gaps: list[Gap]) -> list[Any]:
        """Return rows that were not there before, and move the place on."""
        now = time.time()
        names = {"table": f'"{self._schema}"."{self._name}"', "key": self._key}
        ((oldest, following, *seen),) = self._wire.ask(SEEN, names)
        self._recognise(Table(*seen), gaps)
        place = self._place
        place.holes = {
            key: (xid, seen) for key, (xid, seen) in place.holes.items()
            if oldest < xid or now - seen < HOLE_S
        }  # fmt: skip
        found: list[Any] = []
        if place.holes:
            query = "SELECT {cells} FROM {table} WHERE {key} = ANY(%s) ORDER BY 1 LIMIT %s"
            found = self._wire.ask(self._query(query), (list(place.holes), limit))
        after = -(2**63) if place.last is None else place.last
        query = "SELECT {cells} FROM {table} WHERE {key} > %s ORDER BY 1 LIMIT %s"
        if len(found) < limit:
            new = self._wire.ask(self._query(query), (after, limit - len(found)))
            self._note_holes([row[0] for row in new], following, now)
            found += new
        for row in found:
            place.holes.pop(row[0], None)
        return found

    def _recognise(self, table: Table, gaps: list[Gap]) -> None:
        """Begin again with a table that is not the one it was."""
        place = self._place
        if place.table is not None and table.is_anew(place.table):
            self._place = place = Place(generation=place.generation + 1)
            self._columns = self._described()
            gaps.append(self._begun_anew())
        place.table = table

    def _begun_anew(self) -> Gap:
        return Gap(
            channel=f"{self._schema}.{self._name}", cause="recreated", at=time.time_ns() // 1000,
            words="The table was made anew or emptied, and its numbers began again; what had not "
            "been read of it is lost.",
        )  # fmt: skip

    def _note_holes(self, keys: Sequence[int], following: int, now: float) -> None:
        place = self._place
        for key in keys:
            before = max(key - FIRST, 0) if place.last is None else place.last
            for hole in range(max(before + 1, key - HOLES), key):
                place.holes[hole] = (following, now)
            place.last = key
        while len(place.holes) > HOLES:
            del place.holes[next(iter(place.holes))]

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """Nothing is under way."""

    def lag(self) -> Lag:
        query = "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {key} > %s LIMIT 100000) n"
        ((count,),) = self._wire.ask(self._query(query), (self._place.last or 0,))
        return Lag(count)
