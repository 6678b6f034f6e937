"""Each bus as the tests of crashes and outages use it: a channel, a producer, another subscriber.

The subscriber is there before the tap and does nothing: what the bus knows of it must stay as it
is, whatever becomes of the tap.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import amqp
import nats as nats_py
import paho.mqtt.client as paho
import psycopg
import redis
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from nats.js.api import ConsumerConfig
from paho.mqtt.enums import CallbackAPIVersion

from tests import brokers, services
from tests.kafka import Kafka

PATIENCE_S = 180


class Bus(NamedTuple):
    """A channel of a test's own.

    publish    puts bodies there, in order, and returns once the bus would keep them in a crash
    standing   what the bus knows of its clients; no figures that publishing changes
    close      takes away what would be in the way of other tests
    """

    kind: str
    settings: dict[str, str]
    publish: Callable[[Sequence[bytes]], None]
    standing: Callable[[], Any]
    close: Callable[[], None] = lambda: None


def kafka(broker: Kafka) -> Bus:
    """A topic of one partition, and a group that committed an offset."""
    topic, servers = f"many-{uuid.uuid4().hex}", {"bootstrap.servers": broker.bootstrap}
    admin = AdminClient(servers)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    other = Consumer(servers | {"group.id": topic, "enable.auto.commit": False})
    other.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    other.close()

    def publish(some: Sequence[bytes]) -> None:
        producer = Producer(servers)
        for body in some:
            producer.produce(topic, body, partition=0)
        assert producer.flush(60) == 0

    def standing() -> Any:
        groups = [g.group_id for g in admin.list_consumer_groups().result(30).valid]
        ours = sorted(g for g in groups if g == topic or g.startswith("evdebug"))
        asked = [ConsumerGroupTopicPartitions(group) for group in ours]
        answers = [admin.list_consumer_group_offsets([a])[a.group_id].result(30) for a in asked]
        return [
            (a.group_id, [(p.topic, p.partition, p.offset) for p in a.topic_partitions])
            for a in answers
        ]

    return Bus("kafka", {"servers": broker.bootstrap, "topics": topic}, publish, standing)


def redis_streams(broker: brokers.Redis) -> Bus:
    """A stream, and a group with an entry in hand."""
    client: Any = redis.Redis(port=broker.port)
    key = f"many-{uuid.uuid4().hex}"
    client.xgroup_create(key, "billing", id="0", mkstream=True)
    client.xadd(key, {"data": b"{}"}, id="1-0")
    client.xreadgroup("billing", "b1", {key: ">"})
    client.xdel(key, "1-0")

    def publish(some: Sequence[bytes]) -> None:
        with client.pipeline() as pipeline:
            for body in some:
                pipeline.xadd(key, {"data": body})
            pipeline.execute()

    def standing() -> Any:
        (group,) = client.xinfo_groups(key)
        known = [group[n] for n in ("name", "consumers", "pending", "last-delivered-id")]
        listening = sorted(c["name"] for c in client.client_list() if "evdebug" in c["name"])
        return (
            known,
            client.xpending_range(key, "billing", "-", "+", 10)[0]["message_id"],
            listening,
        )

    return Bus("redis", {"url": broker.url, "streams": key}, publish, standing)


def jetstream(broker: brokers.Nats) -> Bus:
    """A stream, and a durable consumer that took nothing yet."""
    stream = f"M{uuid.uuid4().hex}"

    async def with_client(do: Callable[[Any], Any]) -> Any:
        client = await nats_py.connect(broker.url)
        try:
            return await do(client)
        finally:
            await client.close()

    async def make(client: Any) -> None:
        js = client.jetstream()
        await js.add_stream(name=stream, subjects=[f"{stream}.>"])
        await js.add_consumer(stream, ConsumerConfig(durable_name="billing"))

    def publish(some: Sequence[bytes]) -> None:
        async def send(client: Any) -> None:
            for body in some[:-1]:
                await client.publish(f"{stream}.a", body)
            await client.jetstream().publish(f"{stream}.a", some[-1], timeout=PATIENCE_S)

        asyncio.run(with_client(send))

    async def look(client: Any) -> Any:
        found = await client.jetstream().consumers_info(stream)
        return sorted((c.name, c.delivered.stream_seq, c.ack_floor.stream_seq) for c in found)

    asyncio.run(with_client(make))
    settings = {"url": broker.url, "stream": stream}
    return Bus("nats", settings, publish, lambda: asyncio.run(with_client(look)))


def rabbitmq(broker: brokers.RabbitMQ) -> Bus:
    """An exchange, and a queue bound to it."""
    exchange = f"many-{uuid.uuid4().hex}"

    def channel() -> tuple[Any, Any]:
        connection: Any = amqp.Connection(f"127.0.0.1:{broker.port}", read_timeout=PATIENCE_S)
        connection.connect()
        return connection, connection.channel()

    connection, made = channel()
    made.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    made.queue_declare(exchange, durable=True, auto_delete=False)
    made.queue_bind(exchange, exchange, "#")
    connection.close()

    def publish(some: Sequence[bytes]) -> None:
        connection, into = channel()
        into.tx_select()
        for body in some:
            into.basic_publish(amqp.Message(body, delivery_mode=2), exchange, "a")
        into.tx_commit()
        connection.close()

    def standing() -> Any:
        names = [q["name"] for q in broker.api("GET", "queues")]
        bound = broker.api("GET", f"exchanges/%2F/{exchange}/bindings/source")
        return (
            sorted(n for n in names if n == exchange or n.startswith("evdebug.it")),
            sorted(b["destination"] for b in bound),
        )

    return Bus("rabbitmq", {"url": broker.url, "exchanges": exchange}, publish, standing)


def mqtt(broker: brokers.Mosquitto) -> Bus:
    """A topic."""
    topic = f"many-{uuid.uuid4().hex}"

    def publish(some: Sequence[bytes]) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.max_queued_messages_set(0)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        sent = [client.publish(f"{topic}/a", body, qos=1) for body in some]
        sent[-1].wait_for_publish(PATIENCE_S)
        client.disconnect()
        client.loop_stop()

    def standing() -> Any:
        """The sessions of taps; of this test's, as theirs has its name."""
        broker.save()
        kept = (broker.folder / "mosquitto.db").read_bytes()
        return sorted(set(re.findall(rb"evdebug-it[\w.-]*", kept)))

    return Bus("mqtt", {"url": broker.url, "topics": f"{topic}/#"}, publish, standing)


def postgresql(server: str) -> Bus:
    """An outbox, and a slot of somebody else's."""
    name = f"many_{uuid.uuid4().hex[:12]}"
    url = services.make_database(server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE outbox (id bigserial PRIMARY KEY, payload bytea)")
        connection.execute(
            "SELECT pg_create_logical_replication_slot(current_database(), 'pgoutput')"
        )

    def publish(some: Sequence[bytes]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for start in range(0, len(some), 500):
                rows = [(body,) for body in some[start : start + 500]]
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO outbox (payload) VALUES (%s)", rows)

    def standing() -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            slots = "SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots "
            mine = "WHERE database = current_database() ORDER BY 1"
            published = "SELECT pubname FROM pg_publication"
            return [connection.execute(q).fetchall() for q in (slots + mine, published)]

    def close() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE database = current_database()"
            )
        services.drop_database(server, name)

    settings = {"url": url, "table": "outbox", "mode": "slot"}
    return Bus("postgresql", settings, publish, standing, close)


BUSES: dict[str, Callable[[Any], Bus]] = {
    "kafka_broker": kafka, "redis_broker": redis_streams, "nats": jetstream, "rabbitmq": rabbitmq,
    "mosquitto": mqtt, "postgres": postgresql,
}  # fmt: skip
