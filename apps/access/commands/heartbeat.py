"""Proving that the database takes writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from apps.access.models import Heartbeat

PATIENCE_MS = 2000


def beat(name: str) -> None:
    """Write and commit one small row, waiting at most two seconds for a lock.

    A real commit: only that notices a full disk, a read-only file or a server in recovery.
    raises  django.db.DatabaseError when it cannot be written now
    """
    with _impatient(), transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
                cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
        Heartbeat.objects.update_or_create(name=name)


@contextmanager
def _impatient() -> Iterator[None]:
    """Have SQLite wait two seconds for the write lock instead of thirty."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {before}")
