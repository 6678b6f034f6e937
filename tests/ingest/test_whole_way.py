"""One flow over six buses, by services that know nothing of evdebug, is one trace.

HTTP feed → PostgreSQL outbox → Kafka → Celery → RabbitMQ → webhook. Each service takes what came
by the one bus and publishes on the next, with the ids of correlation and cause its bus has for it.
"""

from __future__ import annotations

import hmac
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from typing import Any
from urllib.request import Request, urlopen

import amqp
import psycopg
import pytest
from celery import Celery
from confluent_kafka import Consumer, Producer

from tests import brokers, services
from tests.ingest.charging import EXCHANGE
from tests.kafka import Kafka
from tests.running import ROOT, Evdebug, System
from tests.services import die_with_parent, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.only("sqlite")]
FLOW, ORDER, SECRET, TOPIC = "flow-77", "77", "a shared secret", "whole-way"
WAY = [
    ("OrderRequested", "http"), ("OrderStored", "outbox"), ("OrderAccepted", "kafka"),
    ("billing.charge", "celery"), ("Charged", "rabbit"), ("ReceiptSent", "hook"),
]  # fmt: skip


@contextmanager
def feed(*events: dict[str, Any]) -> Iterator[str]:
    """Serve what a web service was asked for as a feed of CloudEvents."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([] if "lastEventId" in self.path else events).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/cloudevents-batch+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/requests"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def store(database: str) -> None:
    """The service of orders: writes down what was requested, and that it did."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, correlation_id,"
            " causation_id) VALUES ('stored-77', 'order', %s, 'OrderStored', '{}', %s, 'asked-77')",
            [ORDER, FLOW],
        )


def relay(database: str, kafka: str) -> None:
    """The relay: what is in the outbox goes to Kafka."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT id, correlation_id FROM outbox").fetchall()
    producer = Producer({"bootstrap.servers": kafka})
    for cause, correlation in rows:
        headers = {
            "event-id": "accepted-77", "event-type": "OrderAccepted", "source": "/orders",
            "correlation-id": correlation, "causation-id": cause,
        }  # fmt: skip
        producer.produce(TOPIC, json.dumps({"order": ORDER}).encode(), headers=headers)
    assert producer.flush(60) == 0


def bill(kafka: str, tasks: Celery) -> None:
    """The consumer group of billing: asks a worker to charge."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "billing", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    until = time.monotonic() + 60
    while (message := consumer.poll(1)) is None or message.error():
        assert time.monotonic() < until, "Kafka gave nothing"
    headers = {name: value.decode() for name, value in message.headers()}
    tasks.send_task(
        "billing.charge", [json.loads(message.value())["order"]], task_id="task-77",
        root_id=headers["correlation-id"], parent_id=headers["event-id"],
    )  # fmt: skip
    consumer.commit(message, asynchronous=False)
    consumer.close()


def received(channel: Any, queue: str) -> Any:
    """Return what comes to the mailer's queue."""
    until = time.monotonic() + 60
    while not (message := channel.basic_get(queue, no_ack=True)):
        assert time.monotonic() < until, "RabbitMQ gave nothing"
        time.sleep(0.05)
    return message


def receipt(got: Any, address: str) -> None:
    """The mailer: tells a partner over a webhook that the receipt is on its way."""
    body = json.dumps({
        "event_id": "sent-77", "event_type": "ReceiptSent", "source": "/mailer",
        "correlation_id": got.properties["correlation_id"],
        "causation_id": got.properties["message_id"],
    }).encode()  # fmt: skip
    signed = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature": signed}
    with urlopen(Request(address, data=body, headers=headers), timeout=30) as answer:
        assert answer.status == 200


@contextmanager
def worker(broker: str, rabbit: str) -> Iterator[Celery]:
    """Run the worker of billing, and give what sends it tasks."""
    words = [
        sys.executable, "-m", "celery", "-A", "tests.ingest.charging", "worker", "--pool", "solo",
        "--without-gossip", "--without-mingle", "--loglevel", "error", "--hostname", "w1@billing",
    ]  # fmt: skip
    more = {"CELERY_TEST_BROKER": broker, "AMQP_TEST_HOST": rabbit}
    process = subprocess.Popen(
        words, cwd=ROOT, env=os.environ | more, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
    )  # fmt: skip
    app = Celery("orders", broker=broker)
    try:
        wait_for(lambda: bool(app.control.ping(timeout=0.5)), "the worker")
        yield app
    finally:
        app.close()
        process.kill()
        process.wait(30)


def tapped(system: System, **buses: dict[str, str]) -> None:
    """Add a tap of each bus, and wait until all listen."""
    for name, settings in buses.items():
        bus = settings.pop("bus")
        pairs = [w for key, value in settings.items() for w in ("--set", f"{key}={value}")]
        system.server.manage("tap", "add", system.slug, name, "--bus", bus, *pairs)

    def ready() -> bool:
        _, found = system.get("taps")
        return all(t["state"] == "receiving" or t["bus"] == "webhook" for t in found["taps"])

    wait_for(ready, "all taps to listen")


def test_it_is_one_trace(
    server: Evdebug, postgres: str, kafka_broker: Kafka, redis_broker: brokers.Redis,
    rabbitmq: brokers.RabbitMQ,
) -> None:  # fmt: skip
    system = server.system("whole-way")
    database = services.make_database(postgres, "whole_way")
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE outbox (id text PRIMARY KEY, aggregatetype text, aggregateid text,"
            " type text, payload jsonb, correlation_id text, causation_id text)"
        )
    broker, host = f"{redis_broker.url}/9", f"127.0.0.1:{rabbitmq.port}"
    asked = {
        "specversion": "1.0", "id": "asked-77", "type": "OrderRequested", "source": "/web",
        "correlationid": FLOW, "data": {"order": ORDER},
    }  # fmt: skip
    Producer({"bootstrap.servers": kafka_broker.bootstrap}).list_topics(TOPIC, timeout=60)
    with (
        amqp.Connection(host) as rabbit, worker(broker, host) as tasks, feed(asked) as requests
    ):  # fmt: skip
        channel = rabbit.channel()
        channel.exchange_declare(EXCHANGE, "topic", auto_delete=False)
        queue = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(queue, EXCHANGE, "#")
        tapped(
            system,
            http={"bus": "http", "url": requests},
            outbox={"bus": "postgresql", "url": database, "table": "outbox", "mode": "slot"},
            kafka={"bus": "kafka", "servers": kafka_broker.bootstrap, "topics": TOPIC,
                   "groups": "billing"},
            celery={"bus": "celery", "url": broker},
            rabbit={"bus": "rabbitmq", "url": rabbitmq.url, "exchanges": EXCHANGE},
            hook={"bus": "webhook", "scheme": "hmac", "secret": SECRET},
        )  # fmt: skip
        store(database)
        relay(database, kafka_broker.bootstrap)
        bill(kafka_broker.bootstrap, tasks)
        receipt(received(channel, queue), f"{server.url}/v1/hooks/{system.slug}/hook")
        trace: dict[str, Any] = {}

        def whole() -> bool:
            status, found = system.get(f"traces/{FLOW}")
            trace.update(found)
            told = {(d["subscriber"], d["evidence"]) for d in found.get("deliveries", ())}
            wanted = {("billing", "offset"), ("w1@billing", "task_event")}
            return status == 200 and len(found["events"]) == len(WAY) and wanted <= told

        wait_for(whole, "the trace to be whole")
    names = {e["position"]: (e["type"], e["tap"]) for e in trace["events"]}
    assert sorted(names.values()) == sorted(WAY)
    edges = {(names[cause], names[effect]) for cause, effect in trace["edges"]}
    assert edges == set(pairwise(WAY)), "each caused the next"
    told = {(names[d["event"]][0], d["subscriber"], d["evidence"]) for d in trace["deliveries"]}
    assert ("OrderAccepted", "billing", "offset") in told, told
    assert ("billing.charge", "w1@billing", "task_event") in told, told
    # Nothing of evdebug stays on the buses.
    for name in dict(WAY).values():
        server.manage("tap", "remove", name, "--system", system.slug)
    with psycopg.connect(database) as connection:
        left = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
        wait_for(lambda: connection.execute(left).fetchone() == (0,), "the slot to be dropped")
    ours = "evdebug.rabbit-"
    wait_for(
        lambda: not any(ours in q["name"] for q in rabbitmq.api("GET", "queues")),
        "the queue to be deleted",
    )
    services.drop_database(postgres, "whole_way")
