"""The histogram of the whole log: rollups beside GROUP BY on the events."""

from __future__ import annotations

from bench.harness import Bench, Section, ratio

GOAL = 100


def run(bench: Bench) -> Section:
    """Time both on the long log."""
    log = bench.long_log
    answer = bench.step("histogram", log.environment, rounds=bench.rounds)
    # Seconds of the baseline over ours: how many times faster.
    row = ratio(
        "GROUP BY beside the rollups",
        [seconds * 1000 for seconds in answer["grouped"]],
        [seconds * 1000 for seconds in answer["ours"]],
        unit="ms",
        at_least=GOAL,
    )
    return Section(
        "histogram",
        f"All {log.count:,} events in 200 bars (SQLite); both count every event. Here the columns "
        "are turned round, so that the result says how many times faster the rollups are.",
        [row],
    )
