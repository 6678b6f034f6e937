"""Prepare a database for the doors, and look into it afterwards. May be run again."""

from __future__ import annotations

from typing import Any

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.eventlog.commands.systems import create_system
from apps.eventlog.errors import UnknownSystem
from apps.eventlog.queries import log
from bench.steps import database


def run() -> dict[str, Any]:
    """Make the system `bench` where there is none; return its head and a new key to its door."""
    database.migrate()
    try:
        line = log.line("bench")
    except UnknownSystem:
        line = create_system("bench")
    key = create_key(line.system, scopes=["ingest"], by=CONSOLE, name="bench")
    return {"head": line.head, "key": key.secret}
