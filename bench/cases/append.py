"""Appending to an empty log, beside Django's bulk_create into a plain table."""

from __future__ import annotations

from typing import Any

from bench.harness import Bench, Section, interleaved, ratio

BATCH = 5000
GOAL, BYTES_GOAL = 8, 0.6


def run(bench: Bench) -> Section:
    """Write a million events on each side, in rounds."""
    count = bench.scaled(1_000_000, 2_000)
    batch = min(BATCH, count // 2)
    section = Section(
        "append",
        f"{count:,} events of about 400 bytes of data, random version-4 ids, batches of "
        f"{batch:,}, all indexes, every commit durable. Beside it `bulk_create` of the same events "
        "into a plain table with the same columns and look-ups. evdebug also recognises what it "
        "has already, resolves causes and keeps the rollups.",
    )
    for vendor in bench.vendors():
        sides: dict[str, list[dict[str, Any]]] = {"log": [], "bulk_create": []}

        def measure(side: str, vendor: str = vendor, sides: Any = sides) -> float:
            with bench.database(vendor) as environment:
                answer = bench.step("append", environment, side=side, count=count, batch=batch)
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
