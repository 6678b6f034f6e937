"""Real instrumentation: OpenTelemetry's SDK with pika and Celery, exporting to evdebug."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.brokers import RabbitMQ
from tests.running import ROOT, Evdebug, System
from tests.services import die_with_parent, wait_for
from tests.traces.instrumented import EXCHANGE


@contextmanager
def service(role: str, broker: RabbitMQ, system: System) -> Iterator[subprocess.Popen[bytes]]:
    """Start one service of the shop; stop it in the end."""
    address = f"http://127.0.0.1:{system.server.port}/v1/traces"
    environment = os.environ | {
        "AMQP_URL": broker.url, "PYTHONPATH": str(ROOT),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {system.ingest_key}",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.traces.instrumented", role], cwd=ROOT, env=environment,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def told(system: System) -> Any:
    """Return the trace of the order as the API tells it, None while there is none."""
    _, listed = system.get("traces")
    orders = [t for t in listed["traces"] if t["type"] == EXCHANGE]
    return system.get(f"traces/{orders[0]['root']}")[1] if orders else None


@pytest.mark.slow
def test_pika_and_celery_make_one_trace(server: Evdebug, rabbitmq: RabbitMQ) -> None:
    system = server.system("instrumented")
    with service("mail", rabbitmq, system), service("web", rabbitmq, system) as web:
        assert web.wait(60) == 0
        with service("bank", rabbitmq, system) as bank, service("stock", rabbitmq, system) as stock:
            assert (bank.wait(60), stock.wait(60)) == (0, 0)

        def whole() -> bool:
            trace = told(system)
            return trace is not None and len(trace["deliveries"]) == 3 and len(trace["spans"]) == 3

        wait_for(whole, "the spans of all four services")
    trace = told(system)
    # pika's instrumentation tells of the order twice, one span of sending within another.
    names = {e["position"]: (e["type"], e["source"]) for e in trace["events"]}
    order, receipt = (EXCHANGE, "web"), ("receipts.send", "bank")
    assert sorted(names.values()) == [order, receipt]
    assert [(names[a], names[b]) for a, b in trace["edges"]] == [(order, receipt)]
    assert {(names[d["event"]], d["subscriber"], d["outcome"]) for d in trace["deliveries"]} == {
        (order, "bank", "handled"), (order, "stock", "failed"), (receipt, "mail", "handled"),
    }  # fmt: skip
    (failed,) = (d["error"] for d in trace["deliveries"] if d["outcome"] == "failed")
    assert failed == "RuntimeError: sold out"
    assert {"charge the card", "SMTP order-1"} <= {s["name"] for s in trace["spans"]}
    # The task's own trace is another one, linked: the id of either leads to the whole.
    ids = {
        e["id"].split("-")[0]
        for e in system.get("events?query=kind:event,span,delivery")[1]["events"]
    }
    assert len(ids) == 2
    assert {system.get(f"traces/{each}")[1]["root"] for each in ids} == {trace["root"]}
