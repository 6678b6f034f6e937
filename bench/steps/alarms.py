"""A day that is replayed into a log and looked at: what was found of its troubles, what else."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

from apps.audits.commands.look import look
from apps.audits.models import Finding
from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from apps.eventlog.queries import log
from bench.days import SECOND, START, Trouble, day
from bench.steps import database

BATCH = 2000
AFTER_S = 900  # after a trouble, within which what is found may come of it


def run(*, seed: int, hours: float) -> dict[str, Any]:
    """Replay a day and judge it.

    Returns  planted  troubles; `found` how many of them, `delay` the seconds until it was certain
             false    findings that nothing planted explains, in words
             entries  of the day; `seconds` that looking took
    """
    database.migrate()
    line = create_system("day")
    planted, made = day(seed, hours)
    entries = 0
    while batch := list(islice(made, BATCH)):
        append(line, batch, now=START + round(hours * 3600 * SECOND) + 3600 * SECOND)
        entries += len(batch)
    began = time.perf_counter()
    while look(log.line("day"), budget=3600):
        pass
    findings = [*Finding.objects.order_by("start")]
    delays = [d for trouble in planted if (d := _noticed(trouble, findings)) is not None]
    return {
        "planted": len(planted), "found": len(delays), "delays": delays, "entries": entries,
        "false": [_said(f) for f in findings if not any(_explains(t, f) for t in planted)],
        "missed": [t.kind for t in planted if _noticed(t, findings) is None],
        "seconds": time.perf_counter() - began,
    }  # fmt: skip


CODES = {
    "repeated": ("rate",), "silent": ("silence",), "failing": ("failures",), "slow": ("latency",),
    "stalled": ("stalled",), "rush": ("rate",),
}  # fmt: skip


def _explains(trouble: Trouble, finding: Any) -> bool:
    """Return whether a finding began while a trouble was there, or soon after."""
    at = float(finding.start - START) / SECOND
    return trouble.start - 30 <= at <= trouble.end + AFTER_S


def _noticed(trouble: Trouble, findings: list[Any]) -> float | None:
    """Return how long after its start the trouble itself was noticed, s."""
    for finding in findings:
        if (
            finding.code in CODES[trouble.kind]
            and finding.subject == trouble.subject
            and _explains(trouble, finding)
        ):
            return float((finding.noticed - START) / SECOND - trouble.start)
    return None


def _said(finding: Any) -> str:
    at = (finding.start - START) / SECOND / 3600
    return f"{finding.code} {finding.subject} at {at:.2f} h: {finding.rate:.3g}"
