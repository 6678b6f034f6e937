"""Events for tests: name what the test is about, the rest is plausible."""

from __future__ import annotations

import json
import uuid
from typing import Any

from apps.eventlog.envelope import Envelope, Recorded

NOON = 1_778_587_200_000_000  # 2026-05-12T12:00:00Z


def envelope(**fields: Any) -> Envelope:
    """Return an envelope. `data` may be bytes, or a value to be written as JSON."""
    if "data" in fields:
        fields["data"] = encoded(fields["data"])
    return Envelope(
        **({"type": "order.placed", "id": str(uuid.uuid4()), "source": "/web"} | fields)
    )


def delivery(subscriber: str, outcome: str = "handled", **fields: Any) -> Envelope:
    """Return an envelope that reports a delivery; `cause` or `causation` names the event."""
    return envelope(**({"kind": "delivery", "type": outcome, "source": subscriber} | fields))


def recorded(position: int, **fields: Any) -> Recorded:
    """Return an event as the log would hold it, one second after the one before it."""
    at = NOON + position * 1_000_000
    defaults: dict[str, Any] = {
        "kind": "event", "id": f"id-{position}", "source": "/web", "type": "order.placed",
        "stream": "", "revision": None, "time": at, "recorded_at": at, "log_time": at,
        "correlation": "", "causation": "", "cause": None, "channel": "", "partition": "",
        "offset": "", "key": "", "tap": "", "content_type": "application/json", "data": b"",
        "metadata": b"",
    }  # fmt: skip
    if "data" in fields:
        fields["data"] = encoded(fields["data"])
    return Recorded(**(defaults | fields), position=position)


def encoded(value: Any) -> bytes | None:
    """Return bytes and None as they are, and anything else as JSON."""
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
