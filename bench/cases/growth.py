"""Whether appending to a long log is as fast as to a short one, and stays as small."""

from __future__ import annotations

from bench.harness import Bench, Section, fact, limit, ratio

SLOWER, PEAK = 1.5, 300 * 2**20


def run(bench: Bench) -> Section:
    """Compare the first tenth of the long log with the last; the other cases read it later."""
    log = bench.long_log
    tenth = log.count // 10
    first, last = log.chunks[0], log.chunks[-1]
    return Section(
        "growth",
        f"{log.count:,} events appended to one SQLite log by one process; seconds for the first "
        f"and the last {tenth:,}, without making the events.",
        [
            ratio(f"last {tenth:,} beside the first", [last], [first], unit="s", at_most=SLOWER),
            limit("memory of the writer", log.peak / 2**20, unit="MiB", at_most=PEAK / 2**20),
            fact("rate over all", log.count / sum(log.chunks), unit="events/s"),
            fact("size", log.bytes, unit="bytes/event"),
        ],
    )
