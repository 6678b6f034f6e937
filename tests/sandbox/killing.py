"""Runs whose worker is killed at random, again and again. A program of its own: it forks.

    python -m tests.sandbox.killing KILLS SEED

Prints {"kills", "runs", "digests", "entries", "statuses", "chunks"} as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evdebug.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from apps.eventlog.commands.append import append  # noqa: E402
from apps.eventlog.commands.systems import create_system  # noqa: E402
from apps.eventlog.places import Line  # noqa: E402
from apps.eventlog.queries import log  # noqa: E402
from apps.sandbox.commands import forks, jobs  # noqa: E402
from apps.sandbox.models import Run  # noqa: E402
from tests.sandbox.history import NOW, envelopes, shop_log  # noqa: E402

ENTRIES = 2500
LEASE_S = 0.4


def main(kills: int, seed: int) -> None:
    call_command("migrate", verbosity=0)
    line = create_system("shop")
    past = shop_log(2)[:ENTRIES]
    append(line, envelopes(past), now=NOW)
    line = log.line("shop")
    jobs.LEASE_S = LEASE_S  # type: ignore[assignment]
    jobs.BATCH = 150
    jobs.EVERY_S = 0.05
    chance, done = random.Random(seed), 0
    runs: list[Run] = []
    while done < kills or not runs[-1].over:
        if not runs or runs[-1].over:
            runs.append(started(line, past[ENTRIES // 2].position))
        done += attempt(runs[-1], chance.uniform(0.05, 1.2) if done < kills else 120)
        runs[-1] = Run.objects.get(pk=runs[-1].pk)
    print(json.dumps({
        "kills": done, "runs": len(runs), "statuses": [run.status for run in runs],
        "digests": [(run.result or {}).get("digest") for run in runs],
        "verdicts": [(run.result or {}).get("verdict") for run in runs],
        "entries": [log.line_of(run.timeline).head for run in runs],
        "checkpoints": max(run.chunks.count() for run in runs),
    }))  # fmt: skip


def started(line: Line, position: int) -> Run:
    edits = [{"op": "skip", "position": position}]
    fork = forks.create(line, base=0, until=ENTRIES, edits=edits, options={"missing": "nearest"})
    return forks.start(line, fork)


def attempt(run: Run, seconds: float) -> int:
    """Let a worker work on a run for so long at most; return 1 if it had to be killed."""
    connections.close_all()
    child = os.fork()
    if not child:
        os._exit(worker(run.pk))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def worker(number: int) -> int:
    while True:
        claimed = jobs.claim(number)
        if claimed is not None:
            jobs.work(claimed)
            return 0
        time.sleep(0.05)  # the lease of the one before it


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
