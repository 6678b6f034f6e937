"""Making entries of a sandbox, from recorded ones and from nothing."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, Recorded, Undecodable, parse
from apps.sandbox.clocks import text_of
from apps.sandbox.recording import Execution


def made_id(*parts: str | int) -> str:
    """Return a UUID that depends on its parts alone."""
    h = blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def envelope_of(
    entry: Recorded, cause: int | None, *, stream: str | None = None, data: bytes | None = None,
    time: int | None = None,
) -> Envelope:  # fmt: skip
    """Return what stands for a recorded entry; its cause is at `cause` in the sandbox.

    An entry whose data was deleted is one without data.
    """
    return Envelope(
        type=entry.type, id=entry.id, source=entry.source, kind=entry.kind,  # type: ignore[arg-type]
        stream=entry.stream if stream is None else stream,
        time=entry.time if time is None else time, correlation=entry.correlation,
        causation="" if cause is not None else entry.causation, cause=cause,
        channel=entry.channel, partition=entry.partition, offset=entry.offset, key=entry.key,
        tap=entry.tap, content_type=entry.content_type,
        data=(entry.data or b"") if data is None else data, metadata=entry.metadata,
    )  # fmt: skip


def copy_of(made: Envelope, new_id: str) -> Envelope:
    """Return the same entry under another id."""
    return msgspec.structs.replace(made, id=new_id)


def delivery_data(
    event: Recorded | Envelope, x: Execution, word: str, error: str, finished: int, shift: int
) -> bytes:
    """Return the report of a delivery, as /v1/deliveries takes it."""
    return msgspec.json.encode({
        "event": {"id": event.id, "source": event.source}, "subscriber": x.service,
        "attempt": x.attempt, "outcome": word, "started_at": text_of(x.started + shift),
        "finished_at": text_of(max(finished, x.started + shift)), "error": error,
    })  # fmt: skip


def task_event(event: Recorded | Envelope) -> dict[str, Any]:
    """Return an event as the SDK gives it to a handler."""
    try:
        data = parse(event.data or b"", event.content_type)
    except Undecodable:
        data = None
    headers = msgspec.json.decode(event.metadata) if event.metadata else {}
    version = headers.get("dataversion", 1)
    if isinstance(version, str) and version.isdecimal():
        version = int(version[:9])
    return {
        "id": event.id, "type": event.type, "source": event.source, "stream": event.stream,
        "data": data, "time": (event.time or 0) // 1000, "kind": event.kind,
        "correlation": event.correlation, "causation": event.causation, "channel": event.channel,
        "partition": event.partition, "offset": event.offset, "key": event.key,
        "position": event.position if isinstance(event, Recorded) else 0,
        "version": version if isinstance(version, int) else 1, "metadata": headers,
    }  # fmt: skip
