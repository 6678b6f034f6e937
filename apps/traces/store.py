"""Statements on the tables of this app, past the ORM where it counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

SLICE = 2000  # values bound to one statement


def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Return all rows of a bounded query; `%s` marks a parameter."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


def execute(sql: str, parameters: Sequence[Any] = ()) -> int:
    """Run a statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def execute_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each row."""
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def among(values: Iterable[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield ("IN (…)", its parameters) for each slice of `values`."""
    every = list(values)
    for start in range(0, len(every), SLICE):
        part = every[start : start + SLICE]
        yield f"IN ({','.join(['%s'] * len(part))})", part
