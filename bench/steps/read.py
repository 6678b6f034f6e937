"""Read a log to its end as a server's tasks do, so that none of them is at it while we measure."""

from __future__ import annotations

import time
from typing import Any

from django.core.management import call_command

from apps.eventlog.queries import log
from apps.projections.tasks import keep_up
from apps.traces.commands.follow import catch_up


def run() -> dict[str, Any]:
    """Return the seconds it took."""
    call_command("migrate", verbosity=0)
    started = time.perf_counter()
    for line in log.lines():
        catch_up(line)
    keep_up(budget=None)
    return {"seconds": time.perf_counter() - started}
