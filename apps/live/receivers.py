"""The log grew: those who follow it are told, here and in other processes."""

from __future__ import annotations

from typing import Any

from apps.eventlog import signals
from apps.live.queries.watching import news, relay


def listen() -> None:
    """Connect to the log's signals. Call once, when Django is ready."""
    signals.appended.connect(told, dispatch_uid="live.told")


def told(timeline: int, head: int, **_: Any) -> None:
    """Pass on that a timeline has grown."""
    news.tell(timeline, head)
    relay.tell(timeline, head)
