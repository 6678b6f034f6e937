"""How the last records of a bus would be read: for the form that adds or changes a tap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from apps.eventlog.envelope import Envelope, Undecodable, isoformat
from apps.ingest import dialects, records
from apps.ingest.connector import Record
from apps.ingest.records import Form

PARTS = ("type", "source", "stream", "time", "correlation", "causation", "data")
WANTED = {"correlation": "Those events will not join a trace."}
SHOWN = 60  # characters
CLOUD = {
    "type": "type", "source": "source", "stream": "subject", "time": "time",
    "correlation": "correlationid", "causation": "causationid", "data": "data",
}  # fmt: skip


class Row(NamedTuple):
    """One part of the event: what a person wrote, what is used otherwise, and what comes of it."""

    part: str
    written: str
    usual: str
    values: list[str]  # "" where there is none

    @property
    def missing(self) -> int:
        """How many of the records lack it."""
        return sum(not value for value in self.values)


class Preview(NamedTuple):
    """The parts of the last records, and what is wrong with them."""

    dialect: str
    rows: list[Row]
    times: list[str]
    problems: list[str]
    advice: str


def preview(sample: Sequence[Record], form: Form, written: Mapping[str, str]) -> Preview:
    """Return how `sample` is read. `written` holds what a person wrote, by part."""
    taken = [records.take(record, form) for record in sample]
    names = [t.dialect for t in taken if t.dialect]
    dialect = names[-1] if names else ""
    usual = CLOUD if dialect == "cloudevents" else _usual(dialect)
    rows = [
        Row(part, written.get(part, ""), usual.get(part, ""),
            [_value(t.envelope, part) for t in taken])
        for part in PARTS
    ]  # fmt: skip
    problems = [f"{t.reject.code}: {t.reject.detail}" for t in taken if t.reject]
    times = [isoformat(r.time)[11:-1] if r.time is not None else r.offset for r in sample]
    return Preview(_title(dialect), rows, times, problems, _advice(rows, len(taken)))


def _usual(dialect: str) -> Mapping[str, str]:
    found = dialects.BY_NAME.get(dialect)
    return found.written if found and dialect != "plain" else {}


def _title(dialect: str) -> str:
    if dialect == "cloudevents":
        return "CloudEvents"
    found = dialects.BY_NAME.get(dialect)
    return found.title if found else ""


def _value(envelope: Envelope | None, part: str) -> str:
    if envelope is None:
        return ""
    if part == "data":
        return _data(envelope)
    if part == "time":
        return "" if envelope.time is None else isoformat(envelope.time)[11:-1]
    value = str(getattr(envelope, part))
    return value if len(value) <= SHOWN else value[:SHOWN] + "…"


def _data(envelope: Envelope) -> str:
    from apps.eventlog.envelope import parse

    try:
        value = parse(envelope.data, envelope.content_type)
    except Undecodable:
        return f"{len(envelope.data)} bytes"
    if isinstance(value, dict):
        return f"{{ {len(value)} fields }}"
    if isinstance(value, list):
        return f"[ {len(value)} items ]"
    return msgspec.json.encode(value).decode()[:SHOWN]


def _advice(rows: Sequence[Row], count: int) -> str:
    for row in rows:
        if row.part in WANTED and row.missing and count:
            return f"{row.part} is missing in {row.missing} of the last {count}. {WANTED[row.part]}"
    return ""
