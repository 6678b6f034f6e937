from __future__ import annotations

import time

import pytest
from django.db import DatabaseError, connection

from apps.access.commands.heartbeat import beat
from apps.access.models import Heartbeat


@pytest.mark.django_db
def test_it_works_again_and_again() -> None:
    beat("readyz")
    first = Heartbeat.objects.get().at
    beat("readyz")
    assert Heartbeat.objects.get().at > first


@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_long_for_a_lock_and_leaves_the_connection_patient() -> None:
    beat("readyz")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if other.vendor == "sqlite" else "BEGIN")
            if other.vendor == "postgresql":
                cursor.execute("LOCK TABLE access_heartbeat")
            began = time.monotonic()
            with pytest.raises(DatabaseError):
                beat("readyz")
            assert time.monotonic() - began < 10
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    beat("readyz")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            assert cursor.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
        else:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("0",)
