"""Read what waits on a bus: into the log as a tap does, or bare, with the bus's usual client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from struct import unpack_from
from types import MappingProxyType
from typing import Any

import amqp
import nats
import psycopg
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from nats.js.api import AckPolicy, ConsumerConfig
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from redis._parsers import _RESP2Parser

from apps.access.actor import CONSOLE
from apps.eventlog.commands.systems import create_system
from apps.ingest.commands import intake, taps
from apps.ingest.commands.placing import Places
from apps.ingest.commands.run import RECORDS
from apps.ingest.connector import Connector
from bench import cloudevents
from bench.flows import events
from bench.steps import database

SLOT = "bench_bare"
CHUNK = 50_000  # events


def run(*, bus: str, side: str, url: str, count: int) -> dict[str, Any]:
    """Publish `count` events, then read them all.

    side     "tap" or "bare"; "fill" only publishes, and "catch_up" taps what "fill" published
    Returns  rate  events a second, of the reading alone
    """
    if side == "fill":
        return fill(bus, url, count)
    if side == "catch_up":
        return timed(tap(bus, url, count, prepared=True), count)
    bodies = [cloudevents.structured(e) for e in islice(events(), count)]
    began = {"tap": tap, "bare": bare}[side](bus, url, count)
    PUBLISH[bus](url, bodies)
    return timed(began, count)


def timed(work: Callable[[], None], count: int) -> dict[str, Any]:
    """Return how many events a second `work` does."""
    started = time.perf_counter()
    work()
    return {"rate": count / (time.perf_counter() - started)}


def fill(bus: str, url: str, count: int) -> dict[str, Any]:
    """Publish `count` events, never holding many of them."""
    PREPARE[bus](url)
    waiting = (cloudevents.structured(e) for e in islice(events(), count))
    while bodies := list(islice(waiting, CHUNK)):
        PUBLISH[bus](url, bodies)
    return {}


SETTINGS = {
    "kafka": {"topics": "bench", "groups": "none"},
    "redis": {"streams": "bench"},
    "nats": {"stream": "bench"},
    "rabbitmq": {"exchanges": "bench"},
    "mqtt": {"topics": "bench/#"},
    "postgresql": {"table": "bench", "mode": "slot"},
}


def tap(
    bus: str, url: str, count: int, *, prepared: bool = False,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[], None]:  # fmt: skip
    """Make a tap; return what stores `count` records, each batch in a commit."""
    database.migrate()
    line = create_system("bench")
    if not prepared:
        PREPARE[bus](url)
    address = {"servers" if bus == "kafka" else "url": url}
    made = taps.add(
        line, f"bench{time.time_ns()}", bus, {**address, **SETTINGS[bus], **more}, by=CONSOLE
    )
    settings = taps.settings_of(made)
    form = taps.form(made.system, made.name, settings)
    connector: Connector = taps.connector(made, settings)
    connector.open({})  # a queue of its own is there before anything is published
    places = Places(made.pk, made.name)

    def work() -> None:
        stored = 0
        while stored < count:
            batch = connector.read(limit=RECORDS, wait=1)
            if batch:
                found = intake.decode(batch, form)
                stored += intake.store(made, batch, found, form, places)["stored"]
                connector.settle(batch)
        connector.close()

    return work


def bare(bus: str, url: str, count: int) -> Callable[[], None]:
    """Return what reads `count` messages, and acknowledges them where the bus wants it."""
    PREPARE[bus](url)
    return BARE[bus](url, count)


def _kafka_topic(url: str) -> None:
    admin = AdminClient({"bootstrap.servers": url})
    if "bench" in admin.list_topics(timeout=30).topics:
        admin.delete_topics(["bench"])["bench"].result(30)
        while "bench" in admin.list_topics(timeout=30).topics:
            time.sleep(0.1)
    admin.create_topics([NewTopic("bench", 1, 1)])["bench"].result(30)


def _kafka(url: str, bodies: list[bytes]) -> None:
    producer = Producer(
        {"bootstrap.servers": url, "queue.buffering.max.messages": len(bodies) + 1, "linger.ms": 20}
    )
    for body in bodies:
        producer.produce("bench", body, partition=0)
    assert producer.flush(120) == 0


def _kafka_bare(url: str, count: int) -> Callable[[], None]:
    consumer = Consumer({"bootstrap.servers": url, "group.id": "bare", "enable.auto.commit": False})

    def work() -> None:
        # Not before: it would read ahead while the events are published.
        consumer.assign([TopicPartition("bench", 0, 0)])
        left = count
        while left:
            found = [m for m in consumer.consume(1000, 1) if not m.error()]
            if found:
                consumer.commit(found[-1], asynchronous=False)
            left -= len(found)
        consumer.close()

    return work


def _redis_emptied(url: str) -> None:
    redis.Redis.from_url(url).flushall()


def _redis(url: str, bodies: list[bytes]) -> None:
    client: Any = redis.Redis.from_url(url)
    for start in range(0, len(bodies), 5000):
        with client.pipeline(transaction=False) as pipeline:
            for body in bodies[start : start + 5000]:
                pipeline.xadd("bench", {"data": body})
            pipeline.execute()


def _redis_bare(url: str, count: int) -> Callable[[], None]:
    # As `pip install redis` gives it, without the parser in C that evdebug brings along.
    pool = redis.ConnectionPool.from_url(url, parser_class=_RESP2Parser)
    client: Any = redis.Redis(connection_pool=pool)

    def work() -> None:
        place, left = b"0-0", count
        while left:
            ((_, found),) = client.xread({"bench": place}, count=1000)
            place, left = found[-1][0], left - len(found)

    return work


async def _nats_stream(url: str) -> None:
    client = await nats.connect(url)
    with suppress(nats.js.errors.NotFoundError):
        await client.jetstream().delete_stream("bench")
    await client.jetstream().add_stream(name="bench", subjects=["bench.>"])
    await client.close()


async def _nats(url: str, bodies: list[bytes]) -> None:
    client = await nats.connect(url, pending_size=64 << 20)
    for number, body in enumerate(bodies):
        await client.publish("bench.a", body)
        if number % 1000 == 999:
            await client.flush(timeout=60)
    await client.flush(timeout=60)
    await client.close()


async def _nats_read(url: str, count: int) -> None:
    client = await nats.connect(url)
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=100_000)
    subscription = await client.jetstream().pull_subscribe("bench.>", "bare", config=config)
    while count:
        found = await subscription.fetch(500, timeout=30)
        await found[-1].ack()
        count -= len(found)
    await client.close()


def _amqp(url: str) -> tuple[Any, Any]:
    connection: Any = amqp.Connection(url.partition("@")[2].rstrip("/"))
    connection.connect()
    return connection, connection.channel()


def _rabbitmq_exchange(url: str) -> None:
    connection, channel = _amqp(url)
    channel.exchange_declare("bench", "fanout", auto_delete=False)
    connection.close()


def _rabbitmq(url: str, bodies: list[bytes]) -> None:
    connection, channel = _amqp(url)
    for body in bodies:
        message = amqp.Message(body, content_type="application/cloudevents+json")
        channel.basic_publish(message, "bench", "a")
    connection.close()


def _rabbitmq_bare(url: str, count: int) -> Callable[[], None]:
    connection, channel = _amqp(url)
    queue = channel.queue_declare("", exclusive=True).queue
    channel.queue_bind(queue, "bench", "")
    got: list[int] = []

    def work() -> None:
        channel.basic_qos(0, 1000, False)
        channel.basic_consume(queue, callback=lambda m: got.append(m.delivery_tag))
        while len(got) < count:
            connection.drain_events()
            if len(got) % 500 == 0:
                channel.basic_ack(got[-1], multiple=True)
        connection.close()

    return work


def _mqtt(url: str, bodies: list[bytes]) -> None:
    client = _mqtt_client(url)
    client.loop_start()
    sent = [client.publish("bench/a", body, qos=1) for body in bodies]
    sent[-1].wait_for_publish(300)
    client.disconnect()
    client.loop_stop()


def _mqtt_client(url: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", int(url.rpartition(":")[2]), clean_start=True)
    return client


def _mqtt_bare(url: str, count: int) -> Callable[[], None]:
    # Connected, but not read until it is timed: so everything waits on the broker's side.
    client, got = _mqtt_client(url), []
    client.on_message = lambda *_: got.append(1)
    client.subscribe("bench/#", qos=1)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        client.loop(0.1)

    def work() -> None:
        while len(got) < count:
            client.loop(1)
        client.disconnect()

    return work


def _postgresql_table(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for row in connection.execute("SELECT slot_name FROM pg_replication_slots").fetchall():
            connection.execute("SELECT pg_drop_replication_slot(%s)", row)
        connection.execute("DROP TABLE IF EXISTS bench CASCADE")
        connection.execute("CREATE TABLE bench (id bigserial PRIMARY KEY, payload jsonb)")
        connection.execute(f"DROP PUBLICATION IF EXISTS {SLOT}")
        connection.execute(f"CREATE PUBLICATION {SLOT} FOR TABLE bench")


def _postgresql(url: str, bodies: list[bytes]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, len(bodies), 100):
            rows = [(body.decode(),) for body in bodies[start : start + 100]]
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("INSERT INTO bench (payload) VALUES (%s)", rows)


def _postgresql_bare(url: str, count: int) -> Callable[[], None]:
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [SLOT])
    peek = (
        "SELECT lsn, data FROM pg_logical_slot_peek_binary_changes("
        "%s, NULL, 5000, 'proto_version', '1', 'publication_names', %s)"
    )

    def work() -> None:
        left = count
        while left > 0:
            found = connection.execute(peek, [SLOT, SLOT], binary=True).fetchall()
            left -= sum(data[:1] == b"I" for _, data in found)
            (end,) = unpack_from(">Q", found[-1][1], 10)  # the last is a commit
            at = f"{end >> 32:X}/{end & 0xFFFFFFFF:X}"
            connection.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [SLOT, at])
        connection.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
        connection.close()

    return work


PREPARE: dict[str, Callable[[str], None]] = {
    "kafka": _kafka_topic,
    "redis": _redis_emptied,
    "nats": lambda url: asyncio.run(_nats_stream(url)),
    "rabbitmq": _rabbitmq_exchange,
    "mqtt": lambda url: None,
    "postgresql": _postgresql_table,
}
PUBLISH: dict[str, Callable[[str, list[bytes]], None]] = {
    "kafka": _kafka,
    "redis": _redis,
    "nats": lambda url, bodies: asyncio.run(_nats(url, bodies)),
    "rabbitmq": _rabbitmq,
    "mqtt": _mqtt,
    "postgresql": _postgresql,
}
BARE: dict[str, Callable[[str, int], Callable[[], None]]] = {
    "kafka": _kafka_bare,
    "redis": _redis_bare,
    "nats": lambda url, count: lambda: asyncio.run(_nats_read(url, count)),
    "rabbitmq": _rabbitmq_bare,
    "mqtt": _mqtt_bare,
    "postgresql": _postgresql_bare,
}
