"""The reader on the clock; pages catch up by themselves, so a lost ring costs nothing."""

from __future__ import annotations

from celery import shared_task

from apps.eventlog.queries import log
from apps.traces.commands.follow import catch_up

BUDGET_S = 0.8  # of every second or two


@shared_task  # type: ignore[untyped-decorator]
def follow() -> None:
    """Read what is new in every system. May run twice at once."""
    for line in log.lines():
        catch_up(line, budget=BUDGET_S)
