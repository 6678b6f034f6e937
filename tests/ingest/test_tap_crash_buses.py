"""Taps of the other buses, killed at every step: nothing lost, nothing twice, in order."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

import amqp
import nats as nats_py
import paho.mqtt.client as paho
import psycopg
import pytest
import redis
from paho.mqtt.enums import CallbackAPIVersion

from tests import brokers, services
from tests.ingest.test_tap_crash import BAD, COUNT, PATIENCE_S, Tapped, bodies, check
from tests.running import Evdebug

# What a tap does at each step does not depend on the database.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]
FAILPOINTS = ("tap_mid_batch", "tap_after_commit")  # before the commit, and before it is settled

Publish = Callable[[], None]
Bus = tuple[str, dict[str, str], Publish]


def _redis(broker: brokers.Redis) -> Bus:
    client: Any = redis.Redis(port=broker.port)
    key = f"crash-{uuid.uuid4().hex}"

    def publish() -> None:
        with client.pipeline() as pipeline:
            for body in bodies():
                pipeline.xadd(key, {"data": body})
            pipeline.execute()

    return "redis", {"url": broker.url, "streams": key}, publish


def _nats(broker: brokers.Nats) -> Bus:
    stream = f"C{uuid.uuid4().hex}"

    async def made(some: list[bytes]) -> None:
        client = await nats_py.connect(broker.url)
        if not some:
            await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
        for body in some:
            await client.publish(f"{stream}.a", body)
        await client.flush()
        await client.close()

    asyncio.run(made([]))
    return "nats", {"url": broker.url, "stream": stream}, lambda: asyncio.run(made(bodies()))


def _rabbitmq(broker: brokers.RabbitMQ) -> Bus:
    exchange = f"crash-{uuid.uuid4().hex}"
    connection: Any = amqp.Connection(f"127.0.0.1:{broker.port}")
    connection.connect()
    channel = connection.channel()
    channel.exchange_declare(exchange, "topic", auto_delete=False)

    def publish() -> None:
        for body in bodies():
            channel.basic_publish(amqp.Message(body), exchange, "a")
        connection.close()

    return "rabbitmq", {"url": broker.url, "exchanges": exchange}, publish


def _mqtt(broker: brokers.Mosquitto) -> Bus:
    topic = f"crash-{uuid.uuid4().hex}"

    def publish() -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.max_queued_messages_set(0)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        sent = [client.publish(f"{topic}/a", body, qos=1) for body in bodies()]
        sent[-1].wait_for_publish(PATIENCE_S)
        client.disconnect()
        client.loop_stop()

    return "mqtt", {"url": broker.url, "topics": f"{topic}/#"}, publish


def _postgresql(server: str) -> Bus:
    url = services.make_database(server, f"crash_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE outbox (id bigserial PRIMARY KEY, payload text)")

    def publish() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for start in range(0, len(bodies()), 500):
                rows = [(body.decode(),) for body in bodies()[start : start + 500]]
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO outbox (payload) VALUES (%s)", rows)

    return "postgresql", {"url": url, "table": "outbox", "mode": "slot"}, publish


BUSES: dict[str, Callable[[Any], Bus]] = {
    "redis_broker": _redis, "nats": _nats, "rabbitmq": _rabbitmq, "mosquitto": _mqtt,
    "postgres": _postgresql,
}  # fmt: skip


@pytest.mark.parametrize(
    ("bus", "name"),
    # MQTT takes the longest by far: only where it has to know what comes again.
    [(b, n) for b in BUSES for n in FAILPOINTS if b != "mosquitto" or n == "tap_after_commit"],
)
def test_killed(
    bus: str, name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    kind, settings, publish = BUSES[bus](request.getfixturevalue(bus))
    tapped = Tapped(new_server(start=False), kind, settings)
    process = tapped.run(f"{name}:2")
    receiving(tapped)  # its queue, session or slot is there
    publish()
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    finish(tapped)
    if bus == "mosquitto":  # which gives new messages before what it gives again
        assert sorted(tapped.stored()) == [n for n in range(COUNT) if n not in BAD]
    else:
        check(tapped)


def finish(tapped: Tapped) -> None:
    """Run until all is stored; what comes again counts as received, too."""
    tapped.sql("UPDATE ingest_tap SET lease_until = 0")
    process = tapped.run()
    until = time.monotonic() + PATIENCE_S
    try:
        while sum(tapped.counts()[n] for n in ("stored", "rejected")) < COUNT:
            assert time.monotonic() < until, tapped.counts()
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def receiving(tapped: Tapped) -> None:
    """Wait until the tap reads."""
    until = time.monotonic() + PATIENCE_S
    while tapped.sql("SELECT state FROM ingest_tap") != [("receiving",)]:
        assert time.monotonic() < until, tapped.sql("SELECT state, said FROM ingest_tap")
        time.sleep(0.1)
