"""Runs, comparisons and forks, timed: the shop's past in a database of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.steps import database

EVENTS, ENTITIES = 10_000, 1_000
SCRIPT = Path(__file__).with_name("redux.cjs")
PACKAGES = ("@redux-devtools/instrument@3.0.0", "redux@5.0.1")


def run(*, minutes: int, log_events: int) -> dict[str, Any]:
    """Return the seconds of each part and what it came to."""
    database.migrate()
    return {"replay": _replay(minutes), "fork": _fork(log_events), "toggle": _toggle()}


def _replay(minutes: int) -> dict[str, float]:
    from django.conf import settings

    from apps.eventlog.commands.append import append
    from apps.eventlog.commands.systems import create_system
    from apps.eventlog.queries import log
    from apps.sandbox.commands import forks, jobs
    from tests.sandbox.history import NOW, envelopes, shop_log

    settings.CODE = ("examples.shop.services",)
    line = create_system("replayed")
    made = envelopes(shop_log(minutes))
    for start in range(0, len(made), 5000):
        append(line, made[start : start + 5000], now=NOW)
    line = log.line("replayed")
    run = forks.start(line, forks.create(line, base=0, until=len(made)))
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    begun = time.perf_counter()
    done = jobs.work(claimed)
    took = time.perf_counter() - begun
    assert done.status == "finished", done.error
    assert (done.result or {})["same"]
    return {"entries": len(made), "seconds": took, "ran": done.ran_ms / 1000}


def _fork(count: int) -> float:
    from apps.eventlog.commands.append import append
    from apps.eventlog.commands.systems import create_system, fork
    from apps.eventlog.envelope import Envelope
    from apps.eventlog.models import Event
    from apps.eventlog.queries import log

    line = create_system("long")
    for start in range(0, count, 10_000):
        append(line, [
            Envelope(type="T", id=f"{n}", source="/s", stream=f"s-{n % 999}", data=b'{"a":1}')
            for n in range(start, min(count, start + 10_000))
        ])  # fmt: skip
    line = log.line("long")
    stored = Event.objects.count()
    begun = time.perf_counter()
    made = fork(line, base=count // 2)
    log.read(made, after=count // 2 - 50)
    took = time.perf_counter() - begun
    assert Event.objects.count() == stored
    return took


def _toggle() -> dict[str, Any]:
    """Return the seconds of a history without handlers.

    whole     a run of all of it
    ours      toggling an early edit, from the recipe to the states
    baseline  the same with @redux-devtools/instrument, [] where there is no npm
    """
    from apps.eventlog.envelope import Envelope
    from apps.sandbox.edits import read
    from apps.sandbox.plan import Plan
    from apps.sandbox.switching import Switching
    from tests.sandbox.history import Bench, recorded

    log = tuple(recorded(
        Envelope(type="Set", id=f"{n}", source="/s", stream=f"e-{n % ENTITIES}", time=n,
                 data=json.dumps({"n": n, f"f{n % 7}": n}).encode())
        for n in range(EVENTS)
    ))  # fmt: skip
    recipes = [[{"op": "skip", "position": 4, "on": on}] for on in (True, False)]
    whole, ends = [], []
    for recipe in recipes:
        bench = Bench(log, plan=Plan(read(recipe)), services={})
        begun = time.perf_counter()
        for _ in bench.engine.run():
            pass
        ends.append(bench.states("e-3")["e-3"])
        whole.append(time.perf_counter() - begun)
    switching = Switching(bench.recording, bench.before)
    ours = []
    for recipe, end in zip(recipes, ends, strict=True):
        begun = time.perf_counter()
        state = switching.states(read(recipe)).get("e-3", switching.recorded("e-3"))
        ours.append(time.perf_counter() - begun)
        assert state == end
    return {"whole": whole, "ours": ours, "baseline": _redux(), "events": EVENTS}


def _redux() -> list[float]:
    if not (shutil.which("npm") and shutil.which("node")):
        return []
    with tempfile.TemporaryDirectory(prefix="evdebug-redux-") as folder:
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES]
        subprocess.run(command, capture_output=True, timeout=300, check=True)
        shutil.copy(SCRIPT, folder)
        told = subprocess.run(
            ["node", SCRIPT.name, str(EVENTS), str(ENTITIES)], cwd=folder, capture_output=True,
            timeout=600, check=True,
        )  # fmt: skip
    seconds: list[float] = json.loads(told.stdout)["seconds"]
    return seconds
