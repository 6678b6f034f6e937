"""An empty database with all tables, and how many bytes it holds."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection


def migrate() -> None:
    """Make evdebug's tables and the baseline's, as `manage.py up` would at its first start."""
    call_command("migrate", run_syncdb=True, verbosity=0)


def size() -> int:
    """Return the bytes of the database, indexes and all, with nothing left in a journal."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("PRAGMA page_count")
            pages = cursor.fetchone()[0]
            cursor.execute("PRAGMA page_size")
            return int(pages * cursor.fetchone()[0])
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace"
        )
        return int(cursor.fetchone()[0])
