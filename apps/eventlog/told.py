"""What the data of a delivery, or of a consumer group's progress, tells: read without surprises."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

SECOND = 1_000_000  # µs


class Told(msgspec.Struct):
    """What was told; None for what was not."""

    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    lag: int | None = None  # events a group is behind, as its bus says
    attempt: Any = None


_told = msgspec.json.Decoder(Told).decode


def read(data: bytes | None) -> Told:
    """Return what data tells; nothing where it cannot be read."""
    try:
        return _told(data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told()


def took(told: Told) -> int | None:
    """Return how long a delivery was in hand, µs; None where that was not told."""
    if not told.started_at or not told.finished_at:
        return None
    try:
        between = datetime.fromisoformat(told.finished_at) - datetime.fromisoformat(told.started_at)
    except (ValueError, TypeError):  # no times, or one with a zone and one without
        return None
    return max(0, round(between.total_seconds() * SECOND))
