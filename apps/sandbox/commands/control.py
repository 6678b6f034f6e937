"""What a person does with a run: pause, resume, step, cancel, keep as a test."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.sandbox.commands.forks import checked
from apps.sandbox.errors import BadRecipe, NotNow
from apps.sandbox.models import Run

logger = logging.getLogger(__name__)

RESTING = ("paused", "stopped")
STEPS = 10_000


def do(run: Run, what: str, *, steps: int = 1, options: Mapping[str, Any] | None = None) -> Run:
    """Pause, resume, step or cancel a run and return it as it is then.

    options  for resume: what a call without a recording does from here on, stubs among it
    raises   NotNow, BadRecipe
    """
    acts = {"pause": _pause, "resume": _resume, "step": _step, "cancel": _cancel}
    if what not in acts:
        raise BadRecipe(f"do is one of {', '.join(acts)}.")
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run.pk)
        if run.over:
            raise NotNow(f"The run is {run.status}. Start another.")
        if options:
            run.options = checked(run.options | dict(options))
        run.steps = max(1, min(steps, STEPS)) if what == "step" else 0
        acts[what](run)
        run.save(update_fields=["status", "want", "steps", "options", "error", "wanted"])
    ring()
    return run


def _pause(run: Run) -> None:
    run.want = "pause"
    if run.status == "queued":
        run.status = "paused"


def _resume(run: Run) -> None:
    run.want = "run"
    if run.status in RESTING:
        run.status, run.error, run.wanted = "queued", "", None


def _step(run: Run) -> None:
    if run.status not in (*RESTING, "queued"):
        raise NotNow(f"The run is {run.status}. Pause it first.")
    _resume(run)


def _cancel(run: Run) -> None:
    run.want = "cancel"
    if run.status != "running":
        run.status = "cancelled"


def keep(run: Run, name: str) -> Run:
    """Keep a finished run as a test: what it came to is what is expected from now on.

    raises  NotNow, BadRecipe
    """
    if run.check_of in ("dry", "shrink"):
        raise NotNow("A dry run and a reduction come to nothing that could be held to.")
    if run.status != "finished":
        raise NotNow(f"The run is {run.status}; only a finished one can be kept as a test.")
    name = "".join(c for c in name if c.isprintable()).strip()[:200]
    if not name:
        raise BadRecipe("A test needs a name.")
    Run.objects.filter(pk=run.pk).update(kept_as=name)
    run.kept_as = name
    return run


def ring() -> None:
    """Wake a worker, after the transaction. Without a broker the clock does it within seconds."""
    transaction.on_commit(_ring, robust=True)


def _ring() -> None:
    from apps.sandbox.tasks import work

    work.apply_async(expires=60, retry=False)
