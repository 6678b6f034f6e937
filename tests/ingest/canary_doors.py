"""Ways by which a secret is sent: each bus, and on it each place a record has.

Each door is the settings of a tap, and what sends once the tap is at work.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import amqp
import boto3
import nats
import paho.mqtt.client as paho
import psycopg
import redis
from confluent_kafka import Producer
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests import services
from tests.running import System
from tests.services import wait_for

SECRET = "canary-7f3a91"
KEYS = {"key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG"}


def bodies(bus: str) -> list[bytes]:
    """Return what is sent by a bus: the secret in every place a body has, and what is no event."""
    word, kept = SECRET.encode(), f"kept-{bus}".encode()
    event = {
        "specversion": "1.0", "id": SECRET, "source": f"/{SECRET}", "type": f"Paid.{SECRET}",
        "subject": SECRET, "correlationid": SECRET, "causationid": SECRET, "note": SECRET,
        "data": {"deep": [SECRET], SECRET: 1, "email": SECRET},
    }  # fmt: skip
    return [
        b'{"kept":"%s","secret":"%s","%s":[{"a":"x %s y"}]}' % (kept, word, word, word),
        json.dumps(event).encode(),
        b'{"note":"\\u0063anary-7f3a91","more":"%s"}' % base64.b64encode(b"it is " + word),
        b'{"broken":"%s' % word,
        b"plain text with %s in it" % word,
    ]


def with_odd_bytes(bus: str) -> list[bytes]:
    return [*bodies(bus), b"\xff\xfe %s" % SECRET.encode()]


Send = Callable[[], int]  # returns how many records it sent
Door = tuple[dict[str, str], Send]  # settings of a tap, which is there before anything is sent


def by_kafka(broker: Any) -> Door:
    topic = f"canary-{uuid.uuid4().hex[:4]}x"

    def send() -> int:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for body in with_odd_bytes("kafka"):
            producer.produce(topic, body, key=SECRET, headers=[(SECRET, SECRET.encode())])
        dead = {"x-original-topic": topic, "x-original-partition": "0", "x-original-offset": "0",
                "x-exception-message": SECRET, "x-original-consumer-group": SECRET}  # fmt: skip
        producer.produce(topic, b"{}", headers=dead)
        assert producer.flush(60) == 0
        return 7

    Producer({"bootstrap.servers": broker.bootstrap}).list_topics(topic, timeout=60)
    return {"bus": "kafka", "servers": broker.bootstrap, "topics": topic}, send


def by_redis(broker: Any) -> Door:
    client: Any = redis.Redis(port=broker.port, db=7)

    def send() -> int:
        for body in with_odd_bytes("redis"):
            client.xadd("canary", {"data": body, "note": SECRET, SECRET: "1"})
        client.xgroup_create("canary", SECRET, id="0")
        client.xreadgroup(SECRET, SECRET, {"canary": ">"})
        return 6

    return {"bus": "redis", "url": f"{broker.url}/7", "streams": "canary"}, send


def by_celery(broker: Any) -> Door:
    client: Any = redis.Redis(port=broker.port, db=6)

    def send() -> int:
        for kind in ("task-received", "task-failed"):
            told = {
                "type": kind, "uuid": SECRET, "name": f"kept-celery.{SECRET}", "retries": 0,
                "args": f"('{SECRET}',)", "kwargs": "{}", "hostname": f"w@{SECRET}", "clock": 1,
                "exception": f"ValueError('{SECRET}')", "timestamp": 1_800_000_000.0,
            }  # fmt: skip
            body = base64.b64encode(json.dumps(told).encode()).decode()
            envelope = {"body": body, "properties": {"body_encoding": "base64"}}
            heard = client.publish("/6.celeryev/task.x", json.dumps(envelope))
            assert heard > 0
        return 1

    return {"bus": "celery", "url": f"{broker.url}/6"}, send


def by_rabbitmq(broker: Any) -> Door:
    connection: Any = amqp.Connection(f"127.0.0.1:{broker.port}")
    connection.connect()
    channel = connection.channel()
    channel.exchange_declare("doors", "topic", auto_delete=False)
    letters = {"x-dead-letter-exchange": "doors", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare(SECRET, exclusive=True, arguments=letters)
    channel.queue_bind(SECRET, "doors", f"a.{SECRET}")

    def send() -> int:
        for body in with_odd_bytes("rabbitmq"):
            message = amqp.Message(
                body, message_id=SECRET, correlation_id=SECRET, type=SECRET,
                application_headers={SECRET: SECRET},
            )  # fmt: skip
            channel.basic_publish(message, "doors", f"a.{SECRET}")
        wait_for(lambda: _rejected(channel), "a message to be given up")
        return 7

    return {"bus": "rabbitmq", "url": broker.url, "exchanges": "doors"}, send


def _rejected(channel: Any) -> bool:
    message = channel.basic_get(SECRET)
    if message is None:
        return False
    channel.basic_reject(message.delivery_tag, requeue=False)
    return True


def by_nats(broker: Any) -> Door:
    async def made() -> None:
        client = await nats.connect(broker.url)
        await client.jetstream().add_stream(name="DOORS", subjects=["doors.>"])
        await client.close()

    async def sent() -> None:
        client = await nats.connect(broker.url)
        for body in with_odd_bytes("nats"):
            headers = {"note": SECRET, "Nats-Msg-Id": uuid.uuid4().hex}
            await client.jetstream().publish(f"doors.{SECRET}", body, headers=headers)
        subscription = await client.jetstream().pull_subscribe("doors.>", SECRET)
        for message in await subscription.fetch(6, timeout=30):
            await message.term()
        await client.flush()
        await client.close()

    def send() -> int:
        asyncio.run(sent())
        return 6

    asyncio.run(made())
    return {"bus": "nats", "url": broker.url, "stream": "DOORS"}, send


def by_mqtt(broker: Any) -> Door:
    def send() -> int:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [(SECRET, SECRET)]
        properties.CorrelationData = SECRET.encode()
        for body in with_odd_bytes("mqtt"):
            told = client.publish(f"doors/{SECRET}", body, 1, properties=properties)
            told.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()
        return 6

    return {"bus": "mqtt", "url": broker.url, "topics": "doors/#"}, send


def by_postgresql(server: str) -> Door:
    url = services.make_database(server, f"canary_{uuid.uuid4().hex[:8]}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE box (n bigserial PRIMARY KEY, id text, type text, payload bytea)"
        )

    def send() -> int:
        with psycopg.connect(url, autocommit=True) as connection:
            for body in with_odd_bytes("postgresql"):
                values = (SECRET, f"T.{SECRET}", body)
                connection.execute("INSERT INTO box (id, type, payload) VALUES (%s,%s,%s)", values)
        return 6

    return {"bus": "postgresql", "url": url, "table": "box"}, send


def by_sqs(address: str) -> Door:
    client = boto3.client(
        "sns", region_name="eu-west-1", endpoint_url=address,
        aws_access_key_id=KEYS["key"], aws_secret_access_key=KEYS["secret"],
    )  # fmt: skip
    made = client.create_topic(Name="doors.fifo", Attributes={"FifoTopic": "true"})

    def send() -> int:
        for body in bodies("sqs"):
            client.publish(
                TopicArn=made["TopicArn"], Message=body.decode(), Subject=SECRET,
                MessageGroupId=SECRET, MessageDeduplicationId=SECRET + uuid.uuid4().hex,
                MessageAttributes={"note": {"DataType": "String", "StringValue": SECRET}},
            )  # fmt: skip
        return 5

    return {"bus": "sqs", "topics": made["TopicArn"], "endpoint": address, **KEYS}, send


def by_files(folder: Any) -> Door:
    def send() -> int:
        (folder / f"{SECRET}.ndjson").write_bytes(b"\n".join(with_odd_bytes("files")) + b"\n")
        return 6

    return {"bus": "files", "path": str(folder)}, send


def by_hook(system: System) -> Door:
    def send() -> int:
        for body in bodies("webhook"):
            signed = hmac.new(b"a shared secret", body, hashlib.sha256).hexdigest()
            headers = {"Content-Type": "application/json", "X-Signature": signed, "X-Note": SECRET}
            address = f"{system.server.url}/v1/hooks/{system.slug}/webhook"
            with contextlib.suppress(HTTPError):  # it says which are no events
                urlopen(Request(address, body, headers), timeout=30).close()
        return 5

    return {"bus": "webhook", "scheme": "hmac", "secret": "a shared secret"}, send


BROKERS: dict[str, tuple[str, Callable[[Any], Door]]] = {  # and the fixture that starts each
    "kafka": ("kafka_broker", by_kafka), "redis": ("redis_broker", by_redis),
    "celery": ("redis_broker", by_celery), "rabbitmq": ("rabbitmq", by_rabbitmq),
    "nats": ("nats", by_nats), "mqtt": ("mosquitto", by_mqtt),
    "postgresql": ("postgres", by_postgresql),
}  # fmt: skip
