"""Taking a running server's database away, and giving it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.running import Evdebug


@contextmanager
def locked(server: Evdebug) -> Iterator[None]:
    """Hold the lock every append needs, as another process may."""
    if server.database_url:
        with psycopg.connect(server.database_url) as held:
            held.execute("LOCK TABLE eventlog_timeline IN EXCLUSIVE MODE")
            yield
            held.rollback()
        return
    path = server.folder / "data" / "log.sqlite3"
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield
        held.execute("ROLLBACK")
