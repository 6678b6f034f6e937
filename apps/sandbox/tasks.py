"""The bell that wakes a worker for runs. What is to be done is in the database."""

from __future__ import annotations

from celery import shared_task

from apps.sandbox.commands import jobs


@shared_task  # type: ignore[untyped-decorator]
def work() -> int:
    """Do the runs nobody works on, one after the other; ringing twice is harmless."""
    count = 0
    for run in jobs.waiting():
        jobs.work(run)
        count += 1
    return count
