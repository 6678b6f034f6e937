"""A tap that finds millions of records waiting: how fast, and with how much memory."""

from __future__ import annotations

from bench.harness import Bench, Section, fact, limit, say
from tests import brokers
from tests.kafka import Kafka
from tests.services import Missing

MEMORY_MB = 400


def run(bench: Bench) -> Section:
    """Read all that waits on a Kafka topic into a SQLite log."""
    count = bench.scaled(5_000_000, 5000)
    section = Section(
        "catch_up",
        f"A tap on a Kafka topic with {count:,} records waiting, read into a SQLite log as a tap "
        "does, each batch in one durable commit.",
    )
    try:
        with brokers.started(Kafka) as broker, bench.database("sqlite") as environment:
            on = {"bus": "kafka", "url": broker.bootstrap, "count": count}
            bench.step("taps", environment, side="fill", **on)
            answer = bench.step("taps", environment, side="catch_up", **on)
    except Missing as missing:
        say(f"  without kafka: {missing}")
        return section
    section.rows += [
        limit("memory of the process", answer["peak"] / 1e6, unit="MB", at_most=MEMORY_MB),
        fact("read", answer["rate"], unit="events/s"),
    ]
    return section
