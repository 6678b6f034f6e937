"""The histogram of the whole log: rollups beside GROUP BY on the events."""

from __future__ import annotations

from bench.harness import Bench, Section, faster

GOAL = 100


def run(bench: Bench) -> Section:
    """Time both on the long log."""
    log = bench.long_log
    answer = bench.step("histogram", log.environment, rounds=bench.rounds)
    row = faster(
        "full range, rollups beside GROUP BY",
        [seconds * 1000 for seconds in answer["ours"]],
        [seconds * 1000 for seconds in answer["grouped"]],
        unit="ms",
        at_least=GOAL,
    )
    return Section(
        "histogram",
        f"All {log.count:,} events in 200 bars (SQLite); both ways count every event. The result "
        "says how many times faster the rollups are.",
        [row],
    )
