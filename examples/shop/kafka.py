"""The shop over Kafka: a topic per channel, a consumer per service, commits after the handling."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from examples.shop.broker import Arrival
from examples.shop.bus import CHANNELS, Channel

TIMEOUT_S = 30


class Kafka:
    """`Broker` for Kafka."""

    def __init__(self, servers: str) -> None:
        self._config: dict[str, Any] = {"bootstrap.servers": servers, "log_level": 2}
        self._producer = Producer(self._config | {"linger.ms": 5, "enable.idempotence": True})
        self._consumers: dict[str, Consumer] = {}
        admin = AdminClient(self._config)
        new = [NewTopic(c.name, c.partitions, 1) for c in CHANNELS.values()]
        for future in admin.create_topics(new, request_timeout=TIMEOUT_S).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        self._producer.produce(channel.name, body, key=key.encode(), partition=partition)
        self._producer.poll(0)

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        consumer = Consumer(
            self._config
            | {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([channel.name for channel in channels])
        self._consumers[group] = consumer

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        if limit <= 0:
            return []
        messages = self._consumers[group].consume(limit, timeout=0)
        return [
            Arrival(group, f"{m.topic()}/{m.partition()}", m.value() or b"", m)
            for m in messages
            if m.error() is None
        ]

    def acknowledge(self, arrival: Arrival) -> None:
        m = arrival.token
        offset = TopicPartition(m.topic(), m.partition(), m.offset() + 1)
        with contextlib.suppress(KafkaException):  # the partition moved on: its owner does it again
            self._consumers[arrival.group].commit(offsets=[offset], asynchronous=True)

    def bury(self, arrival: Arrival, why: str) -> None:
        m = arrival.token
        headers = [
            ("kafka_dlt-original-topic", m.topic().encode()),
            ("kafka_dlt-original-partition", m.partition().to_bytes(4)),
            ("kafka_dlt-original-offset", m.offset().to_bytes(8)),
            ("kafka_dlt-original-consumer-group", arrival.group.encode()),
            ("kafka_dlt-exception-message", why.encode()),
        ]
        name = f"{m.topic()}.{arrival.group}.dlq"
        self._producer.produce(name, arrival.body, key=m.key(), headers=headers)

    def close(self) -> None:
        self._producer.flush(TIMEOUT_S)
        for consumer in self._consumers.values():
            consumer.close()
