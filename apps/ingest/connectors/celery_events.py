"""Celery's task events as commands and deliveries.

The first event of a task is the command; what workers say of it afterwards are its deliveries. An
event's Lamport clock is kept: it orders what happened on different machines.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from apps.ingest.connector import Delivery, Record

SOURCE = "/celery"
CHANNEL = "celery"
FOLLOWED = 100_000  # tasks whose attempt is known
KNOWN = ("args", "kwargs", "root_id", "parent_id")
ENDS = {
    "task-received": "received",
    "task-succeeded": "handled",
    "task-failed": "failed",
    "task-retried": "failed",
    "task-rejected": "dead_lettered",
    "task-revoked": "skipped",
}

Event = Mapping[str, Any]


def unpacked(body: bytes) -> Iterator[Event]:
    """Yield the events of a message: one, a list of them, or kombu's envelope around either."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(found, dict) and "properties" in found and "body" in found:
        inner = found["body"]
        if found["properties"].get("body_encoding") == "base64":
            inner = base64.b64decode(inner)
        yield from unpacked(inner if isinstance(inner, bytes) else str(inner).encode())
        return
    for event in found if isinstance(found, list) else [found]:
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            yield event


class Tasks:
    """Which attempt each task is at."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, tuple[int, int | None]] = OrderedDict()

    def told(self, events: Iterable[Event]) -> tuple[list[Record], list[Delivery]]:
        """Return the commands and deliveries events tell of."""
        records: list[Record] = []
        deliveries: list[Delivery] = []
        for event in events:
            task = event.get("uuid")
            if not isinstance(task, str) or not event["type"].startswith("task-"):
                continue
            if event["type"] in ("task-sent", "task-received") and event.get("name"):
                records.append(_command(task, event))
            self._follow(task, event)
            if outcome := ENDS.get(event["type"]):
                deliveries.append(self._delivery(task, outcome, event))
        return records, deliveries

    def _follow(self, task: str, event: Event) -> None:
        attempt, started = self._attempts.pop(task, (1, None))
        if event["type"] in ("task-sent", "task-received"):
            retries = event.get("retries")
            attempt = (retries if isinstance(retries, int) else 0) + 1
        if event["type"] == "task-started":
            started = _at(event)
        self._attempts[task] = (attempt, started)
        while len(self._attempts) > FOLLOWED:
            self._attempts.popitem(last=False)

    def _delivery(self, task: str, outcome: str, event: Event) -> Delivery:
        attempt, started = self._attempts[task]
        at = _at(event)
        facts = {n: event[n] for n in ("clock", "pid", "runtime") if event.get(n) is not None}
        return Delivery(
            subscriber=str(event.get("hostname") or "celery"), outcome=outcome, attempt=attempt,
            evidence="task_event", event_id=task, event_source=SOURCE, earliest=at, latest=at,
            started=None if outcome == "received" else started, error=_error(event),
            facts=facts | {"event": event["type"]},
        )  # fmt: skip


def _command(task: str, event: Event) -> Record:
    # Only what is the same in all events of a task, so that each further one is a duplicate.
    attributes = {
        "specversion": "1.0", "id": task, "source": SOURCE, "type": str(event["name"]),
        "correlationid": event.get("root_id"), "causationid": event.get("parent_id"),
        "evdebugkind": "command",
    }  # fmt: skip
    return Record(
        body=msgspec.json.encode({name: event.get(name) for name in KNOWN}), channel=CHANNEL,
        headers=tuple((f"ce_{n}", str(v).encode()) for n, v in attributes.items() if v),
        content_type="application/json", time=_at(event),
    )  # fmt: skip


def _error(event: Event) -> str:
    if event["type"] == "task-revoked":
        return "Revoked: expired." if event.get("expired") else "Revoked."
    return str(event.get("exception") or "")


def _at(event: Event) -> int | None:
    at = event.get("timestamp")
    return int(at * 1_000_000) if isinstance(at, int | float) and 0 < at < 1e11 else None
