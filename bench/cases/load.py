"""`manage.py import` of an NDJSON file, beside a script with json and bulk_create."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median

from bench import cloudevents
from bench.flows import events
from bench.harness import ROOT, Bench, Section, clean_environment, interleaved, limit, ratio

GOAL = 25_000
SETTINGS = {"DJANGO_SETTINGS_MODULE": "evdebug.settings"}


def run(bench: Bench) -> Section:
    """Time the whole command, its start included; the baseline only its loop."""
    count, fewer = bench.scaled(500_000, 2_000), bench.scaled(50_000, 500)
    lines = bench.folder / "events.ndjson"
    cloudevents.write_lines(lines, map(cloudevents.structured, islice(events(), count)))

    def ours() -> float:
        with bench.database("sqlite") as environment:
            bench.step("door", environment)  # its system
            return count / _import(lines, environment, count)

    def script() -> float:
        with bench.database("sqlite") as environment:
            answer = bench.step("load", environment, path=str(lines), count=fewer, batch=5000)
            return float(answer["rate"])

    rates = interleaved(bench.rounds, ours, script)
    rows = [
        limit("import", median(rates[0]), unit="events/s", at_least=GOAL),
        ratio("import beside the script", *rates, unit="events/s"),
    ]
    return Section(
        "load",
        f"`manage.py import` of {count:,} CloudEvents ({lines.stat().st_size / 2**20:.0f} MiB of "
        f"NDJSON), start of the command included, beside a loop of `json.loads` and `bulk_create` "
        f"over the first {fewer:,}.",
        rows,
    )


def _import(lines: Path, environment: dict[str, str], count: int) -> float:
    """Import the file into the system `bench` and return the seconds it took."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "manage.py", "import", "bench", str(lines)],
        cwd=ROOT, env=clean_environment() | environment | SETTINGS,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    told = json.loads(done.stdout.splitlines()[-1])
    if told["stored"] != count:
        raise RuntimeError(f"import stored {told['stored']} of {count} events: {told}")
    return seconds
