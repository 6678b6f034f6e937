"""The shop over RabbitMQ: an exchange per channel, a queue per service and channel."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from examples.shop.broker import Arrival
from examples.shop.bus import CHANNELS, Channel

PREFETCH = 100
GLANCE_S = 0.002


class RabbitMQ:
    """`Broker` for RabbitMQ."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection: Any = amqp.Connection(
            f"{parts.hostname}:{parts.port or 5672}", userid=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            virtual_host=unquote(parts.path[1:]) or "/",
        )  # fmt: skip
        self._connection.connect()
        self._channel = self._connection.channel()
        self._channel.basic_qos(0, PREFETCH, False)
        self._came: dict[str, deque[Arrival]] = defaultdict(deque)
        self._buried: set[int] = set()
        for channel in CHANNELS.values():
            for name in (channel.name, f"{channel.name}.dead"):
                self._channel.exchange_declare(name, "topic", durable=True, auto_delete=False)

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        event = json.loads(body)
        message = amqp.Message(
            body, content_type="application/cloudevents+json", delivery_mode=2,
            message_id=event["id"], type=event["type"], application_headers={"lane": partition},
        )  # fmt: skip
        self._channel.basic_publish(message, channel.name, event["type"])

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        for channel in channels:
            queue = f"{channel.name}.{group}"
            self._channel.queue_declare(
                queue, durable=True, auto_delete=False,
                arguments={"x-dead-letter-exchange": f"{channel.name}.dead"},
            )  # fmt: skip
            self._channel.queue_bind(queue, channel.name, "#")
            self._channel.basic_consume(
                queue, callback=lambda m, group=group, name=channel.name: self._arrived(
                    m, group, name
                ),
            )  # fmt: skip

    def _arrived(self, message: Any, group: str, channel: str) -> None:
        lane = (message.properties.get("application_headers") or {}).get("lane", "")
        body = message.body if isinstance(message.body, bytes) else message.body.encode()
        tag = message.delivery_info["delivery_tag"]
        self._came[group].append(Arrival(group, f"{channel}/{lane}", body, tag))

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        if not self._came[group]:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=GLANCE_S)
        came = self._came[group]
        return [came.popleft() for _ in range(min(limit, len(came)))]

    def acknowledge(self, arrival: Arrival) -> None:
        if arrival.token in self._buried:
            self._buried.remove(arrival.token)
        else:
            self._channel.basic_ack(arrival.token)

    def bury(self, arrival: Arrival, why: str) -> None:
        self._buried.add(arrival.token)
        self._channel.basic_reject(arrival.token, requeue=False)  # the queue's dead letters

    def close(self) -> None:
        self._connection.close()
