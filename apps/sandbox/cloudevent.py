"""An event as it is handed to a copy of a service, and what the copy published as it was said."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, is_json
from apps.ingest.encode import NOWHERE
from apps.ingest.marks import ATTRIBUTE, Mark
from apps.sandbox.clocks import text_of
from apps.sandbox.outcome import Said, Task


class NotTaken(ValueError):
    """What a copy published cannot stand in a run; the message says why."""


def written(task: Task, mark: Mark | None) -> bytes:
    """Return a task's event as a structured CloudEvent; one of a dry run has no mark."""
    event = task.event
    shape: dict[str, Any] = {
        "specversion": "1.0", "id": event["id"], "source": event["source"] or NOWHERE,
        "type": event["type"], "time": text_of(event["time"] * 1000),
    }  # fmt: skip
    more = {
        "subject": event["stream"], "correlationid": event["correlation"],
        "causationid": event["causation"], "partitionkey": event["key"],
        ATTRIBUTE: str(mark) if mark else "",
    }  # fmt: skip
    shape |= {name: value for name, value in more.items() if value}
    if event["kind"] != "event":
        shape["evdebugkind"] = event["kind"]
    data = event["data"]
    if isinstance(data, bytes):
        shape["data_base64"] = base64.b64encode(data).decode()
    elif data is not None:
        shape["data"] = data
    return msgspec.json.encode(shape)


def said(envelopes: Iterable[Envelope]) -> list[Said]:
    """Return what was published as a handler would have said it. raises  NotTaken

    What a copy reports besides, of deliveries and of what it asked the outside, is left out.
    """
    return [_said(e) for e in envelopes if e.kind in ("event", "command")]


def _said(e: Envelope) -> Said:
    if e.data and not is_json(e.content_type):
        raise NotTaken(f"It published {e.type} as {e.content_type[:80]}; a run takes JSON.")
    try:
        msgspec.json.decode(e.data or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotTaken(f"It published {e.type} with data that is not JSON: {error}") from error
    data = msgspec.Raw(e.data or b"null")
    return Said(e.type, e.stream, data, e.kind, e.key, e.correlation)
