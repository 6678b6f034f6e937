"""Talking to PostgreSQL: one connection that reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import psycopg
from psycopg import errors, sql

from apps.ingest.broker_url import BrokerUrl
from apps.ingest.connector import BadSettings, Line, Record, Refused, Surroundings, Unreachable

CONNECT_S = 10
AS_THEY_ARE = ("json", "jsonb", "int2", "int4", "int8")  # their text is JSON
BODY = ("payload", "data", "body", "event", "message", "value")  # where a row's event may be
STANDING = (
    errors.InsufficientPrivilege, errors.UndefinedObject, errors.InvalidCatalogName,
    errors.UndefinedTable, errors.InvalidAuthorizationSpecification,
    errors.ObjectNotInPrerequisiteState, errors.FeatureNotSupported,
)  # fmt: skip


class Wire:
    """A connection to one database."""

    def __init__(self, url: BrokerUrl, around: Surroundings) -> None:
        """Connect.  raises  Unreachable, Refused"""
        self.shown = url.shown
        addresses = around.reach(url.host, url.port)
        with self.mended():
            self.connection = psycopg.connect(
                host=",".join([url.host] * len(addresses)), hostaddr=",".join(addresses),
                port=url.port, user=url.user or None, password=url.password or None,
                dbname=url.path or None, connect_timeout=CONNECT_S, autocommit=True,
                application_name=f"evdebug {around.name}"[:63],
                sslmode=url.query.get("sslmode", "prefer"), passfile="/dev/null",
                keepalives_idle=30,
            )  # fmt: skip

    def ask(
        self, query: sql.SQL | sql.Composed | str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[Any]:
        """Return all rows of a query.  raises  Unreachable, Refused"""
        with self.mended():
            cursor = self.connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def slots_looked_at(self) -> list[Line]:
        """Return what is to be said before a slot is made."""
        ((level, kept),) = self.ask(
            "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size')"
        )
        lines = [
            Line("ok", f"What a slot may hold back is bounded: max_slot_wal_keep_size {kept}.")
        ]
        if kept == "-1":
            lines = [Line("problem", UNBOUNDED)]
        if level != "logical":
            words = f"A slot needs wal_level logical; it is {level}. Or poll."
            lines.append(Line("problem", words))
        return lines

    @contextmanager
    def mended(self) -> Iterator[None]:
        """Say with our errors what the server or the network says."""
        try:
            yield
        except STANDING as error:
            raise Refused(f"PostgreSQL at {self.shown} refuses: {_said(error)}") from None
        except psycopg.OperationalError as error:
            said = _said(error)
            if "authentication failed" in said or "does not exist" in said:
                raise Refused(f"PostgreSQL at {self.shown} refuses: {said}") from None
            raise Unreachable(f"PostgreSQL at {self.shown} cannot be talked to: {said}") from None
        except psycopg.Error as error:
            raise Refused(f"PostgreSQL at {self.shown} answers: {_said(error)}") from None

    def close(self) -> None:
        """End the connection."""
        with suppress(psycopg.Error):
            self.connection.close()


UNBOUNDED = (
    "While evdebug is away, a slot would hold back the write-ahead log until the disk of this "
    "database is full: max_slot_wal_keep_size is -1. Set it, to 1GB say, or poll."
)


def table_name(text: str) -> tuple[str, str]:
    """Return schema and name.  raises  BadSettings"""
    schema, dot, name = text.rpartition(".")
    if not re.fullmatch(r"[^\0\"\s.]{1,63}", name) or (dot and not schema) or "." in schema:
        raise BadSettings("setting table is no name of a table; expected one such as public.outbox")
    return schema or "public", name


def record(
    table: str, columns: Sequence[tuple[str, bytes | None, str]], offset: str, *,
    time: int | None = None, facts: dict[str, Any] | None = None,
) -> Record:  # fmt: skip
    """Return a row as a record: (name, value as text, type) of each column.

    The event is in the column that by its name carries one, the others are its headers. A row of
    an outbox as Debezium's router knows it, and one without such a column, is a JSON object.
    """
    names = [name.lower() for name, _, _ in columns]
    carrier = next((names.index(n) for n in BODY if n in names), None)
    if carrier is None or "aggregateid" in names:
        return Record(
            body=_object(columns), channel=table, offset=offset, time=time, facts=facts or {},
            content_type="application/json",
        )  # fmt: skip
    _, body, kind = columns[carrier]
    return Record(
        body=body, channel=table, offset=offset, time=time, facts=facts or {},
        headers=tuple(
            (n, v) for i, (n, v, _) in enumerate(columns) if v is not None and i != carrier
        ),
        content_type="application/json" if kind in ("json", "jsonb") else "",
    )  # fmt: skip


def _object(columns: Sequence[tuple[str, bytes | None, str]]) -> bytes:
    found: dict[str, Any] = {}
    for name, value, kind in columns:
        if value is None:
            found[name] = None
        elif kind in AS_THEY_ARE:
            found[name] = msgspec.Raw(value)
        elif kind == "bool":
            found[name] = value in (b"t", b"true")
        elif kind == "bytea":
            found[name] = {"base64": value}  # msgspec writes bytes as base64
        else:
            found[name] = value.decode("utf-8", "replace")
    return msgspec.json.encode(found)


def _said(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
