"""Sandboxes: handlers in their child, folding, comparing, and opening a fork of a long log."""

from __future__ import annotations

from bench.harness import Bench, Section, faster, limit

HANDLERS, REDUCERS = 3_000, 50_000  # entries a second
COMPARE_S, COMPARE_MIB, FORK_MS, TOGGLE = 3, 300, 100, 1000


def run(bench: Bench) -> Section:
    """Replay the shop's past with its own handlers, and time the parts."""
    minutes, pairs = bench.scaled(25, 2), bench.scaled(100_000, 2000)
    log_events = bench.scaled(5_000_000, 5000)
    with bench.database("sqlite") as environment:
        told = bench.step("sandbox", environment, minutes=minutes, log_events=log_events)
        bench.step("comparing", environment, count=pairs, store=True)
        compare = bench.step("comparing", environment, count=pairs, store=False)
    replay, toggle = told["replay"], told["toggle"]
    rows = [
        limit("handlers in their child", replay["entries"] / replay["ran"], unit="entries/s",
              at_least=HANDLERS),
        limit("without handlers", toggle["events"] / min(toggle["whole"]), unit="events/s",
              at_least=REDUCERS),
        limit("comparing two runs", compare["seconds"], unit="s", at_most=COMPARE_S),
        limit("memory of the process that compares", compare["peak"] / 2**20, unit="MiB",
              at_most=COMPARE_MIB),
        limit("opening a fork", told["fork"] * 1000, unit="ms", at_most=FORK_MS),
    ]  # fmt: skip
    if toggle["baseline"]:
        sides = _ms(toggle["ours"]), _ms(toggle["baseline"])
        rows.append(faster("toggling an early edit", *sides, unit="ms", at_least=TOGGLE))
    return Section(
        "sandbox",
        f"{replay['entries']:,} entries of the shop replayed with its handlers in their confined "
        f"child, compared and kept; two runs of {pairs:,} events read from the log and compared; a "
        f"fork in the middle of {log_events:,} events opened. Toggling is one of 10,000 events of "
        "1,000 entities, from the switch to the states, beside `@redux-devtools/instrument` on the "
        "same history.",
        rows,
    )


def _ms(seconds: list[float]) -> list[float]:
    return [1000 * each for each in seconds]
