"""Taps into the log, beside a bare reader of each bus that only acknowledges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench.harness import Bench, Section, interleaved, limit, ratio, say
from tests import brokers
from tests.kafka import Kafka
from tests.services import Missing

# bus: how many events, the least ratio to a bare reader, the least events a second
GOALS = {
    "kafka": (100_000, 0.25, 25_000),
    "redis": (100_000, 0.25, 25_000),
    "nats": (60_000, 0.25, 12_000),
    "rabbitmq": (40_000, 0.5, 8_000),
    "postgresql": (60_000, 0.25, 20_000),
    "mqtt": (20_000, 0.5, 5_000),
}
BROKERS: dict[str, type[brokers.Broker]] = {
    "kafka": Kafka,
    "redis": brokers.Redis,
    "nats": brokers.Nats,
    "rabbitmq": brokers.RabbitMQ,
    "mqtt": brokers.Mosquitto,
}


def run(bench: Bench) -> Section:
    """Read what waits on each bus this machine has."""
    section = Section(
        "taps",
        "What waits on a bus, read into a SQLite log as a tap does, each batch in one durable "
        "commit, beside a bare reader with the bus's usual client that only acknowledges. Both in "
        "one process, the broker on the same machine.",
    )
    for bus, (count, share, rate) in GOALS.items():
        try:
            with _url(bench, bus) as url:
                _measure(bench, section, bus, url, bench.scaled(count, 2000), share, rate)
        except Missing as missing:
            say(f"  without {bus}: {missing}")
    return section


@contextmanager
def _url(bench: Bench, bus: str) -> Iterator[str]:
    """Give the address of a broker started for this bus."""
    if bus == "postgresql":
        if bench.postgresql is None:
            raise Missing("there is no PostgreSQL")
        yield bench.postgresql.make_database("outbox")
        return
    with brokers.started(BROKERS[bus]) as broker:
        yield broker.bootstrap if isinstance(broker, Kafka) else broker.url


def _measure(
    bench: Bench, section: Section, bus: str, url: str, count: int, share: float, rate: float
) -> None:
    def ours() -> float:
        with bench.database("sqlite") as environment:
            answer = bench.step("taps", environment, bus=bus, side="tap", url=url, count=count)
        return float(answer["rate"])

    def bare() -> float:
        with bench.database("sqlite") as environment:
            answer = bench.step("taps", environment, bus=bus, side="bare", url=url, count=count)
        return float(answer["rate"])

    taps, baseline = interleaved(bench.rounds, ours, bare)
    section.rows.append(ratio(bus, taps, baseline, unit="events/s", at_least=share))
    section.rows.append(limit(f"{bus}, sustained", median(taps), unit="events/s", at_least=rate))
