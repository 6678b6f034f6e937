"""What a reducer and a subscriber receive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Event:
    """One event. `data` is its own copy: changing it changes nothing else.

    time      when it happened by its producer's clock, ms since 1970 UTC
    position  its place in the log
    version   of its data's shape: the extension attribute `dataversion`, 1 without it
    """

    id: str
    type: str
    source: str
    stream: str
    data: Any
    time: int
    kind: str = "event"
    correlation: str = ""
    causation: str = ""
    channel: str = ""
    partition: str = ""
    offset: str = ""
    key: str = ""
    position: int = 0
    version: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)
