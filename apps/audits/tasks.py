"""Looking on the clock. What there is to look at is in the log, so a lost ring costs nothing."""

from __future__ import annotations

from celery import shared_task

from apps.audits.commands.look import look
from apps.eventlog.queries import log

BUDGET_S = 1.0  # of every five, for each system


@shared_task  # type: ignore[untyped-decorator]
def look_at_all() -> None:
    """Look at what is new in every system. May run twice at once."""
    for line in log.lines():
        look(line, budget=BUDGET_S)
