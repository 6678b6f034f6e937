"""The log grew: those who follow it in this process are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.access.queries.visitors import in_thread
from apps.eventlog import signals
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.queries import log
from apps.live.news import News


async def _heads(timelines: Iterable[int]) -> dict[int, int]:
    try:
        return await in_thread(log.heads, timelines)
    except LogUnavailable:
        return {}


news = News(_heads)


def listen() -> None:
    """Connect to the log's signals. Call once, when Django is ready."""
    signals.appended.connect(told, dispatch_uid="live.told")


def told(timeline: int, head: int, **_: Any) -> None:
    """Pass on that a timeline has grown."""
    news.tell(timeline, head)
