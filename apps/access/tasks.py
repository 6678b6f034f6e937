"""What access does on its own, on the clock."""

from __future__ import annotations

import logging

from celery import shared_task

from apps.access.commands import sweep as sweeping

logger = logging.getLogger(__name__)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Erase expired links and sessions, old attempts, keys and trail. May run twice at once."""
    erased = sweeping.sweep()
    if any(erased.values()):
        words = ", ".join(f"{count} {what}" for what, count in erased.items() if count)
        logger.info("Swept %s.", words)
