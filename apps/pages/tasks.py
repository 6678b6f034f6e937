"""What spans apps and goes on behind the pages."""

from __future__ import annotations

from celery import shared_task

from apps.eventlog.queries import log
from apps.pages.commands.rules import follow

BUDGET_S = 1.0  # of every five, for each system


@shared_task  # type: ignore[untyped-decorator]
def look_at_rules() -> None:
    """Follow the rules of every system. May run twice at once."""
    for line in log.lines():
        follow(line, budget=BUDGET_S)
