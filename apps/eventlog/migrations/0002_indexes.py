"""The indexes of the log, which differ by database.

SQLite: every index ends with the rowid, which is the place, so `(lane_id)` already serves
"lane 3, newest first". PostgreSQL needs the place named. Partial indexes leave out the rows that
have no stream, correlation or cause. Names are compared byte by byte on both.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

SQLITE = [
    "CREATE INDEX eventlog_event_lane ON eventlog_event (lane_id)",
    "CREATE INDEX eventlog_event_stream ON eventlog_event (stream_id) WHERE stream_id IS NOT NULL",
    "CREATE INDEX eventlog_event_correlation ON eventlog_event (correlation_id)"
    " WHERE correlation_id IS NOT NULL",
    "CREATE INDEX eventlog_event_cause ON eventlog_event (cause) WHERE cause IS NOT NULL",
    "CREATE UNIQUE INDEX eventlog_stream_once ON eventlog_stream (system_id, name)",
    "CREATE UNIQUE INDEX eventlog_correlation_once ON eventlog_correlation (system_id, name)",
]
POSTGRESQL = [
    "CREATE INDEX eventlog_event_lane ON eventlog_event (lane_id, place)",
    "CREATE INDEX eventlog_event_stream ON eventlog_event (stream_id, place)"
    " WHERE stream_id IS NOT NULL",
    "CREATE INDEX eventlog_event_correlation ON eventlog_event (correlation_id, place)"
    " WHERE correlation_id IS NOT NULL",
    "CREATE INDEX eventlog_event_cause ON eventlog_event (cause, place) WHERE cause IS NOT NULL",
    'ALTER TABLE eventlog_stream ALTER name TYPE varchar(1024) COLLATE "C",'
    ' ALTER category TYPE varchar(1024) COLLATE "C"',
    "CREATE UNIQUE INDEX eventlog_stream_once ON eventlog_stream (system_id, name)",
    "CREATE UNIQUE INDEX eventlog_correlation_once ON eventlog_correlation (system_id, name)",
]


def forwards(apps: Any, schema_editor: Any) -> None:
    statements = SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL
    for statement in statements:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("eventlog", "0001_initial")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
