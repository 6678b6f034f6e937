"""The few events that may end a stream: their data is short as null is, or speaks of an operation.

How many entities ended between two moments is then read off a small index.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

SQLITE = (
    "CREATE INDEX eventlog_event_ending ON eventlog_event (stream_id)"
    " WHERE stream_id IS NOT NULL AND (length(data) <= 4 OR instr(data, x'226F7022') > 0)"
)
POSTGRESQL = (
    "CREATE INDEX eventlog_event_ending ON eventlog_event (stream_id, place)"
    " WHERE stream_id IS NOT NULL"
    " AND (length(data) <= 4 OR position('\\x226f7022'::bytea in data) > 0)"
)


def forwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL)


def backwards(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP INDEX eventlog_event_ending")


class Migration(migrations.Migration):
    dependencies = [("eventlog", "0003_timeline_epoch")]
    operations = [migrations.RunPython(forwards, backwards)]
