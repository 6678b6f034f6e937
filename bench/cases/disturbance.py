"""What a bus's producers and consumers lose while a tap reads along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.cases.taps import BROKERS
from bench.harness import Bench, Section, interleaved, ratio, say
from tests import brokers
from tests.kafka import Kafka
from tests.services import Missing

KEPT = 0.95
LOGS: dict[str, int] = {"kafka": 200_000, "redis": 100_000, "nats": 60_000, "rabbitmq": 40_000}


def run(bench: Bench) -> Section:
    """Publish and then consume, in turns without and with a tap."""
    section = Section(
        "disturbance",
        "A producer that publishes as fast as it can, and then a consumer that reads all of it, "
        "with a tap beside them and without. Broker, producer and consumer have one processor, "
        "evdebug the other. What is left of their rates.",
    )
    if (os.cpu_count() or 1) < 2:
        say("  without two processors there is nothing to tell apart")
        return section
    with _first_processor():
        for bus, count in LOGS.items():
            try:
                with brokers.started(BROKERS[bus]) as broker:
                    url = broker.bootstrap if isinstance(broker, Kafka) else broker.url
                    _measure(bench, section, bus, url, bench.scaled(count, 1000))
            except Missing as missing:
                say(f"  without {bus}: {missing}")
    return section


@contextmanager
def _first_processor() -> Iterator[None]:
    """What is started in this block has one processor, the tap takes another for itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _measure(bench: Bench, section: Section, bus: str, url: str, count: int) -> None:
    rates: dict[bool, list[dict[str, Any]]] = {True: [], False: []}

    def once(tapped: bool) -> float:
        with bench.database("sqlite") as environment:
            told = bench.step(
                "disturbing", environment, bus=bus, url=url, count=count, tapped=tapped, more={}
            )
        rates[tapped].append(told)
        return float(told["published"])

    interleaved(bench.rounds, lambda: once(True), lambda: once(False))
    for what in ("published", "consumed"):
        sides = ([told[what] for told in rates[tapped]] for tapped in (True, False))
        section.rows.append(ratio(f"{bus}, {what}", *sides, unit="events/s", at_least=KEPT))
