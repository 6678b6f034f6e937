"""What SQLite and PostgreSQL do differently, in raw SQL through Django's connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from sqlite3 import Cursor
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

EVENT_COLUMNS = (
    "place", "time", "recorded_at", "log_time", "cause", "correlation_id", "stream_id", "lane_id",
    "revision", "checksum", "event_id", "partition", '"offset"', "key", "metadata", "data",
)  # fmt: skip
EVENT_TYPES = ["int8"] * 7 + ["int4"] * 3 + ["bytea"] + ["text"] * 3 + ["bytea"] * 2
SLICE = 5000  # values bound to one statement


def sqlite() -> bool:
    """Return whether the log is in SQLite."""
    return connection.vendor == "sqlite"


def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Return all rows of a bounded query; `%s` marks a parameter."""
    with _cursor() as (cursor, written):
        cursor.execute(written(sql), parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


def execute(sql: str, parameters: Sequence[Any] = ()) -> int:
    """Run a statement and return how many rows it touched."""
    with _cursor() as (cursor, written):
        cursor.execute(written(sql), parameters)
        return int(cursor.rowcount)


def execute_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each row."""
    if rows:
        with _cursor() as (cursor, written):
            cursor.executemany(written(sql), rows)


@contextmanager
def _cursor() -> Iterator[tuple[Any, Callable[[str], str]]]:
    """Give a cursor, and how it wants statements written.

    SQLite's own where nobody watches what is run: Django's around it costs more than most of our
    statements do, and an append runs a dozen.
    """
    django = connections[DEFAULT_DB_ALIAS]
    watched = django.execute_wrappers or django.needs_rollback or django.queries_logged
    if django.vendor != "sqlite" or watched:
        with django.cursor() as cursor:
            yield cursor, str
        return
    if django.connection is None:
        django.ensure_connection()
    with django.wrap_database_errors:
        cursor = django.connection.cursor(Cursor)
        try:
            yield cursor, _qmarks
        finally:
            cursor.close()


@contextmanager
def in_one_go() -> Iterator[None]:
    """Send the statements of a block together, where each would be a journey to the server.

    None of them may ask for rows; what goes wrong in them is raised by the end of the block.
    """
    if sqlite():
        yield
        return
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@lru_cache(maxsize=256)
def _qmarks(sql: str) -> str:
    """Return a statement with parameters marked as SQLite marks them."""
    return sql.replace("%s", "?").replace("%%", "%")


def among(values: Iterable[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield ("IN (…)" or "= ANY(…)", its parameters) for each slice of `values`."""
    every = list(values)
    for start in range(0, len(every), SLICE):
        part = every[start : start + SLICE]
        if sqlite():
            yield f"IN ({','.join(['%s'] * len(part))})", part
        else:
            yield "= ANY(%s)", (part,)


def insert_events(rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of EVENT_COLUMNS: executemany on SQLite, COPY on PostgreSQL.

    They are taken one by one, so that PostgreSQL works on the first while the next are made.
    """
    columns = ", ".join(EVENT_COLUMNS)
    if sqlite():
        marks = ", ".join("?" * len(EVENT_COLUMNS))
        connection.ensure_connection()
        # Past Django's cursor, which would rewrite the marks: 5 % of an append.
        with connection.wrap_database_errors:
            connection.connection.executemany(
                f"INSERT INTO eventlog_event ({columns}) VALUES ({marks})",
                rows,
            )
        return
    statement = f"COPY eventlog_event ({columns}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor:
        _plain_bytes(cursor.cursor)
        _copy(cursor, statement, rows)


def _copy(cursor: Any, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(statement) as copy:
        copy.set_types(EVENT_TYPES)
        write = copy.write_row
        for row in rows:
            write(row)


def _plain_bytes(cursor: Any) -> None:
    """Have `bytea` written by psycopg's own code for `bytes`.

    For the type it would take what serves `psycopg.Binary` too, which is Python: 0.5 µs an event.
    """
    from psycopg.adapt import PyFormat  # which SQLite does not need

    cursor.adapters.register_dumper(bytes, cursor.adapters.get_dumper(bytes, PyFormat.BINARY))


def ensure_names(
    table: str, system: int, names: Collection[str]
) -> tuple[dict[str, int], Collection[str]]:
    """Return the ids of names, those that are new inserted, and the names that were there.

    `table` is "stream" or "correlation". The insert is tried first: most names a writer does not
    know are of the moment, so there would be nothing to find. Two timelines of a system may add
    the same name at once; the second finds the first's.
    """
    ordered = sorted(names)  # or two timelines adding the same names deadlock
    columns, values = "system_id, name", "%s, value"
    if table == "stream":
        columns, values = f"{columns}, category", f"{values}, {_category()}"
    each = "json_each(%s)" if sqlite() else "unnest(%s::text[]) u(value)"
    given = json.dumps(ordered) if sqlite() else ordered
    made: dict[str, int] = dict(fetch(
        f"INSERT INTO eventlog_{table} ({columns}) SELECT {values} FROM {each}"
        " WHERE true ON CONFLICT DO NOTHING RETURNING name, id",
        [system, given],
    ))  # fmt: skip
    held = [name for name in ordered if name not in made] if len(made) < len(ordered) else []
    return made | (names_to_ids(table, system, held) if held else {}), held


def _category() -> str:
    """Return SQL for what precedes the first "-" of `value`."""
    if sqlite():
        return "substr(value, 1, instr(value || '-', '-') - 1)"
    return "split_part(value, '-', 1)"


def names_to_ids(table: str, system: int, names: Iterable[str]) -> dict[str, int]:
    """Return the ids of those names that exist."""
    if not sqlite():
        # One step into the index for each. Asked for "= ANY", the planner reads all names of the
        # system where it knows nothing of the table yet: while it is young.
        sql = (
            f"SELECT n.name, t.id FROM unnest(%s::text[]) n(name), LATERAL (SELECT id FROM"
            f" eventlog_{table} WHERE system_id = %s AND name = n.name LIMIT 1) t"
        )
        return dict(fetch(sql, [list(names), system]))
    found: dict[str, int] = {}
    for clause, values in among(names):
        sql = f"SELECT name, id FROM eventlog_{table} WHERE system_id = %s AND name {clause}"
        found.update(fetch(sql, [system, *values]))
    return found


def last_revisions(streams: Sequence[int], low: int, high: int) -> dict[int, int]:
    """Return the last revision of each stream among the places in (low, high]."""
    last = (
        "(SELECT e.revision FROM eventlog_event e WHERE e.stream_id = {} AND e.place > %s"
        " AND e.place <= %s ORDER BY e.place DESC LIMIT 1)"
    )
    if sqlite():
        sql = f"SELECT value, {last.format('value')} FROM json_each(%s)"
        rows = fetch(sql, [low, high, json.dumps(list(streams))])
    else:
        sql = f"SELECT s.id, {last.format('s.id')} FROM unnest(%s::bigint[]) s(id)"
        rows = fetch(sql, [low, high, list(streams)])
    return {stream: revision for stream, revision in rows if revision is not None}


def add_rollups(rows: Sequence[Sequence[int]]) -> None:
    """Add (timeline, span, lane, bucket, count, failed, first) to the sums that are there."""
    if sqlite():
        execute_many(f"{ADD_ROLLUP} VALUES (%s, %s, %s, %s, %s, %s, %s) {TO_ROLLUP}", rows)
    elif rows:
        columns = ", ".join(["unnest(%s::bigint[])"] * 7)
        execute(
            f"{ADD_ROLLUP} SELECT {columns} {TO_ROLLUP}", list(map(list, zip(*rows, strict=True)))
        )


ADD_ROLLUP = "INSERT INTO eventlog_rollup (timeline, span, lane, bucket, count, failed, first)"
TO_ROLLUP = """
ON CONFLICT (timeline, span, lane, bucket) DO UPDATE SET
count = eventlog_rollup.count + excluded.count, failed = eventlog_rollup.failed + excluded.failed
"""
