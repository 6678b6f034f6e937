"""Traces of 15 to 100 000 events out of five million events and ten million deliveries."""

from __future__ import annotations

from statistics import median

from bench import otlp
from bench.cases import door
from bench.harness import Bench, Row, Section, limit, percentile

PROTOBUF = "application/x-protobuf"
MIB = 2**20
SPANS, CONNECTIONS = 1000, 8  # a request, as the Collector's exporter has them at most by default


def run(bench: Bench) -> Section:
    """Make the log, let the reader read it, and take the 95th percentile of each question."""
    count, giant = bench.scaled(333_333, 200), bench.scaled(100_000, 2000)
    with bench.database("sqlite") as environment:
        got = bench.step(
            "traces", environment, count=count, times=bench.scaled(200, 4), giant=giant
        )

    spans = _spans(bench)

    def p95(name: str, at_most: float) -> Row:
        words = name.replace("giant", f"{giant:,}")
        said = f"trace of {words}, p95" if name != "list" else "list of traces, p95"
        return limit(said, percentile(got[name], 0.95) * 1000, unit="ms", at_most=at_most)

    rows = [
        limit("the reader", got["reader"], unit="log events/s", at_least=15_000),
        p95("15", 15), p95("15 without id", 30), p95("1000", 60), p95("1000 without id", 120),
        p95("giant", 1500), p95("giant without id", 3000), p95("list", 40),
        limit("spans through the door to stored", spans, unit="spans/s", at_least=20_000),
        limit("memory for the largest", got["giant memory"] / MIB, unit="MiB", at_most=300),
    ]  # fmt: skip
    return Section(
        "traces",
        f"{got['rows']:,} positions (SQLite), two deliveries for each event, every tenth trace"
        " without a correlation id; traces as the API answers them, the largest assembled. Spans in"
        f" OTLP protobuf, requests of {SPANS:,} on {CONNECTIONS} connections, the client in a"
        " process of its own.",
        rows,
    )


def _spans(bench: Bench) -> float:
    """Return how many spans a second go through the door into the log.

    raises  RuntimeError where the log does not hold what was answered with 200
    """
    path = bench.folder / "spans"
    sent = otlp.write(path, bench.scaled(200, 3), SPANS)
    rates = []
    for _ in range(bench.rounds):
        with bench.database("sqlite") as environment:
            key = bench.step("door", environment)["key"]
            with door.served(bench, "evdebug", environment, key) as server:
                warm = bench.folder / "spans-first"
                first = otlp.write(warm, 1, 10)
                server.load(warm, "/v1/traces", PROTOBUF, 1, packed=True)
                requests = server.load(path, "/v1/traces", PROTOBUF, CONNECTIONS, packed=True)
                rates.append(requests * SPANS)
            head = bench.step("door", environment)["head"]
            if head != sent + first:
                raise RuntimeError(f"The log holds {head} records; {sent + first} were sent.")
    return median(rates)
