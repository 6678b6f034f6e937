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
AT_ONCE = 100  # attempts of one task
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


class Task(msgspec.Struct):
    """How far a task is. `open` are attempts received and not ended, each with its start."""

    open: list[tuple[int, int | None]] = []
    last: int = 1


class Tasks:
    """Which attempt each task is at.

    Only what tells of a receipt says which attempt it is. A worker may have received the next one
    before it says how the one before ended: an end is that of the oldest that has none yet.
    """

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, Task] = OrderedDict()

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
            attempt, started = self._follow(self._known(task), event)
            if outcome := ENDS.get(event["type"]):
                deliveries.append(_delivery(task, outcome, attempt, started, event))
        return records, deliveries

    def _known(self, task: str) -> Task:
        known = self._tasks.pop(task, None) or Task()
        self._tasks[task] = known
        while len(self._tasks) > FOLLOWED:
            self._tasks.popitem(last=False)
        return known

    def _follow(self, task: Task, event: Event) -> tuple[int, int | None]:
        """Return the attempt an event is about, and when it was started."""
        kind, attempts = event["type"], task.open
        if kind == "task-received":
            retries = event.get("retries")
            attempt = (retries if isinstance(retries, int) else 0) + 1
            if all(attempt != n for n, _ in attempts) and len(attempts) < AT_ONCE:
                task.open = sorted([*attempts, (attempt, None)])
            return attempt, None
        if kind == "task-started":
            attempt = attempts[0][0] if attempts else task.last
            task.open = [(attempt, _at(event)), *attempts[1:]]
        elif kind in ENDS:
            found, task.open = (attempts[0], attempts[1:]) if attempts else ((task.last, None), [])
            task.last = found[0]
            return found
        return task.last, None


def _delivery(task: str, outcome: str, attempt: int, started: int | None, event: Event) -> Delivery:
    at = _at(event)
    facts = {n: event[n] for n in ("clock", "pid", "runtime") if event.get(n) is not None}
    return Delivery(
        subscriber=str(event.get("hostname") or "celery"), outcome=outcome, attempt=attempt,
        evidence="task_event", event_id=task, event_source=SOURCE, earliest=at, latest=at,
        started=started, error=_error(event), facts=facts | {"event": event["type"]},
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
