"""PostgreSQL: an outbox table, by the write-ahead log or by polling, or NOTIFY channels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol

from apps.ingest import broker_url
from apps.ingest.buses import BEGIN
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Guarantee,
    Lag,
    Line,
    Setting,
    Surroundings,
    TapError,
)
from apps.ingest.connectors.postgresql_notify import Notifications
from apps.ingest.connectors.postgresql_poll import Polled
from apps.ingest.connectors.postgresql_slot import Slot, drop, slot_name
from apps.ingest.connectors.postgresql_wire import Wire, table_name

PORTS = {"postgresql": 5432, "postgres": 5432}


class Reader(Protocol):
    """What reads over an open connection."""

    def read(self, limit: int, wait: float) -> Batch: ...

    def settle(self, batch: Batch) -> None: ...

    def lag(self) -> Lag: ...

    def close(self) -> None: ...


class PostgreSQL:
    """One table or some channels of one database."""

    bus: ClassVar[str] = "postgresql"
    title: ClassVar[str] = "PostgreSQL"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True, secret=True,
                help="postgresql://user:password@host:5432/database"),
        Setting("table", "Table", help="the outbox, such as public.outbox"),
        Setting("mode", "How", kind="choice", default="poll", choices=("poll", "slot"),
                help="poll asks for new rows; slot reads the write-ahead log, and sees rows that "
                     "are deleted at once, too"),
        Setting("channels", "Channels", kind="list", help="names given to NOTIFY"),
        BEGIN,
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._table: str = settings["table"]
        self._mode: str = settings["mode"]
        self._channels: list[str] = settings["channels"]
        self._start: str | datetime = settings["start"]
        self.rewinds = bool(self._table) and self._mode == "poll"
        self._around = around
        if bool(self._table) == bool(self._channels):
            raise BadSettings("give either the setting table or the setting channels")
        if self._table:
            table_name(self._table)
        if isinstance(self._start, datetime):
            raise BadSettings("setting start is a time; PostgreSQL knows beginning and now")
        self._wire: Wire | None = None
        self._reader: Reader | None = None

    def guarantee(self) -> Guarantee:
        if self._channels:
            return Guarantee(
                "lossy",
                "PostgreSQL keeps no notification for who is not connected: what is sent while "
                "evdebug is away is lost, and told as a gap.",
            )
        if self._mode == "slot":
            return Guarantee(
                "exactly_once",
                "Every row inserted since the slot was made exactly once, in the order of commits. "
                "While evdebug is away the slot holds the log, up to max_slot_wal_keep_size; what "
                "is dropped beyond that is told as a gap.",
            )
        return Guarantee(
            "exactly_once",
            "Every row that is still there when it is asked for, exactly once, also those whose "
            "transactions end out of order. Rows deleted before that are not seen: use the slot.",
        )

    def place(self) -> str:
        return f"{self._url.shown} · {self._table or ', '.join(self._channels)}"

    def check(self) -> Checked:
        wire = None
        try:
            wire = Wire(self._url, self._around)
            lines = [Line("ok", f"PostgreSQL answers at {wire.shown}.")]
            if self._channels:
                words = "Whether anybody notifies cannot be seen without listening."
                return Checked([*lines, Line("note", words)])
            polled = Polled(wire, self._table, {}, "beginning")
            lines += wire.slots_looked_at() if self._mode == "slot" else polled.looked_at()
            ok = all(line.level != "problem" for line in lines)
            return Checked(lines, polled.sample() if ok else ())
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            if wire is not None:
                wire.close()

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._wire = Wire(self._url, self._around)
        if self._channels:
            self._reader = Notifications(self._wire, self._channels, cursor)
        elif self._mode == "slot":
            self._reader = Slot(self._wire, self._slot(self._wire), self._table, cursor)
        else:
            self._reader = Polled(self._wire, self._table, cursor, str(self._start))

    def _slot(self, wire: Wire) -> str:
        ((database,),) = wire.ask("SELECT current_database()")
        return slot_name(self._around.name, database)

    def leave(self) -> None:
        """Drop the slot and its publication, also those of a tap that polls by now."""
        wire = Wire(self._url, self._around)
        try:
            drop(wire, self._slot(wire))
        finally:
            wire.close()

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._reader is not None, "read before open"
        return self._reader.read(limit, wait)

    def settle(self, batch: Batch) -> None:
        assert self._reader is not None, "settle before open"
        self._reader.settle(batch)

    def lag(self) -> Lag:
        return self._reader.lag() if self._reader else Lag()

    def close(self) -> None:
        wire, reader, self._wire, self._reader = self._wire, self._reader, None, None
        if reader is not None:
            reader.close()
        if wire is not None:
            wire.close()
