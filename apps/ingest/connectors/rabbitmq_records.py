"""RabbitMQ's messages as records, and what their headers tell of deliveries."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from apps.ingest.connector import Delivery, Record

FACTS = (
    "message_id", "correlation_id", "type", "app_id", "reply_to", "user_id", "expiration",
    "content_encoding", "priority",
)  # fmt: skip
IDS = ("cloudEvents:id", "cloudEvents_id", "ce-id", "ce_id", "message-id", "event-id")
SOURCES = ("cloudEvents:source", "cloudEvents_source", "ce-source", "ce_source")
DIED = {
    "rejected": "Rejected by its consumer.",
    "expired": "It waited for too long.",
    "maxlen": "The queue was full.",
    "delivery_limit": "Given out too often.",
}


def record(
    properties: Mapping[str, Any], body: bytes, *, channel: str, key: str, offset: str = "",
    epoch: str = "", facts: Mapping[str, Any] | None = None,
) -> Record:  # fmt: skip
    """Return a message as a record."""
    headers = properties.get("application_headers") or {}
    said = {name: properties[name] for name in FACTS if properties.get(name) not in (None, "")}
    if "unreadable" in properties:
        said["unreadable_properties"] = properties["unreadable"].hex()
    seconds = properties.get("timestamp")
    return Record(
        body=body, channel=channel, key=key, offset=offset, epoch=epoch,
        headers=tuple((_text(n), _bytes(v)) for n, v in headers.items()),
        content_type=properties.get("content_type") or "",
        time=_microseconds(seconds) if isinstance(seconds, int) else None,
        facts=plain(said | dict(facts or {})),
    )  # fmt: skip


def event_id(record: Record) -> tuple[str, str]:
    """Return the id and source by which the record's event will be known, ("", "") for none."""
    headers = dict(record.headers)
    for name in IDS:
        if name in headers:
            source = next((headers[s] for s in SOURCES if s in headers), b"")
            return _decoded(headers[name]), _decoded(source)
    if (record.body or b"")[:1] == b"{" and b"specversion" in (record.body or b""):
        try:
            event = msgspec.json.decode(record.body or b"")
            return str(event["id"]), str(event["source"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            pass
    return str(record.facts.get("message_id", "")), ""


def deaths(properties: Mapping[str, Any], known: Record) -> Iterator[Delivery]:
    """Yield the dead letters an `x-death` header tells of: queue, reason, when, and how often."""
    headers = properties.get("application_headers") or {}
    found = headers.get("x-death")
    event, source = event_id(known)
    if not event or not isinstance(found, list):
        return
    for death in found:
        if not isinstance(death, dict) or not death.get("queue"):
            continue
        at = death.get("time")
        moment = None
        if isinstance(at, datetime):
            moment = int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000
        reason, count = str(death.get("reason", "")), death.get("count", 1)
        yield Delivery(
            subscriber=_text(death["queue"]), outcome="dead_lettered", evidence="dead_letter",
            event_id=event, event_source=source, attempt=count if isinstance(count, int) else 1,
            # The broker says when in whole seconds.
            earliest=moment, latest=None if moment is None else moment + 999_999,
            error=DIED.get(reason, reason), facts=plain({"reason": reason}),
        )  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value of an AMQP table as JSON knows it."""
    if isinstance(value, Mapping):
        return {_text(name): plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(data).decode()}
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return msgspec.json.encode(plain(value))


def _text(name: Any) -> str:
    if isinstance(name, str):
        return name
    return bytes(name).decode("utf-8", "backslashreplace")


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _microseconds(seconds: int) -> int | None:
    # Some write milliseconds where the protocol says seconds.
    if seconds > 100_000_000_000:
        seconds //= 1000
    return seconds * 1_000_000 if 0 <= seconds < 10_000_000_000 else None


def now() -> int:
    """Return the time in µs."""
    return time.time_ns() // 1000
