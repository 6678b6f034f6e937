"""Appending to an empty log, beside Django's bulk_create into a plain table."""

from __future__ import annotations

from typing import Any

from bench.harness import Bench, Section, interleaved, ratio

BATCH = 5000
GOAL, BYTES_GOAL = 8, 0.6


def run(bench: Bench) -> Section:
    """Write a million events on each side, in rounds; the baseline fewer (see the text)."""
    count = bench.scaled(1_000_000, 2_000)
    fewer = bench.scaled(250_000, 1_000)
    section = Section(
        "append",
        f"{count:,} events of about 400 bytes of data, random version-4 ids, batches of "
        f"{min(BATCH, fewer):,}, all indexes, every commit durable. Beside it `bulk_create` of "
        f"{fewer:,} of the same events into a plain table with the same columns and look-ups; "
        "with as many as ours it would only be slower: its indexes on random text outgrow the "
        "cache. evdebug also recognises what it has already; the plain table would refuse it.",
    )
    for vendor in bench.vendors():
        sides: dict[str, list[dict[str, Any]]] = {"log": [], "bulk_create": []}

        def measure(side: str, vendor: str = vendor, sides: Any = sides) -> float:
            many = count if side == "log" else fewer
            with bench.database(vendor) as environment:
                answer = bench.step(
                    "append", environment, side=side, count=many, batch=min(BATCH, fewer)
                )
            sides[side].append(answer)
            return float(answer["rate"])

        ours, plain = interleaved(
            bench.rounds, lambda: measure("log"), lambda: measure("bulk_create")
        )
        name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[vendor]
        section.rows += [
            ratio(f"{name}, rate", ours, plain, unit="events/s", at_least=GOAL),
            ratio(
                f"{name}, size",
                [a["bytes"] for a in sides["log"]],
                [a["bytes"] for a in sides["bulk_create"]],
                unit="bytes/event",
                at_most=BYTES_GOAL,
            ),
        ]
    return section
