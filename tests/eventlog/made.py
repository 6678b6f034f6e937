"""Events for tests, with something plain in every field."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded


def recorded(position: int = 1, *, data: Any = None, metadata: Any = None, **rest: Any) -> Recorded:
    """Return an event; `data` may be bytes, or a value to be written as JSON."""
    raw = (
        data if isinstance(data, bytes) else msgspec.json.encode(data) if data is not None else b""
    )
    defaults: dict[str, Any] = {
        "kind": "event", "id": f"id-{position}", "source": "/shop", "type": "OrderPlaced",
        "stream": "", "revision": None, "time": position, "recorded_at": position,
        "log_time": position, "correlation": "", "causation": "", "cause": None, "channel": "",
        "partition": "", "offset": "", "key": "", "tap": "", "content_type": "application/json",
    }  # fmt: skip
    return Recorded(
        position=position,
        data=raw,
        metadata=msgspec.json.encode(metadata) if metadata else b"",
        **defaults | rest,
    )
