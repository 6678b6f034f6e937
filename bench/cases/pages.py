"""A page of sixty events out of a long log."""

from __future__ import annotations

from bench.harness import Bench, Section, limit, percentile

P95_MS = 20


def run(bench: Bench) -> Section:
    """Take the 95th percentile over random moments, filter by filter."""
    log = bench.long_log
    answer = bench.step("pages", log.environment, times=bench.scaled(400, 5))
    rows = [
        limit(f"{name}, p95", percentile(seconds, 0.95) * 1000, unit="ms", at_most=P95_MS)
        for name, seconds in answer.items()
        if name != "peak"
    ]
    return Section(
        "pages",
        f"`search` for 60 events as of a random moment, {log.count:,} events (SQLite), in process.",
        rows,
    )
