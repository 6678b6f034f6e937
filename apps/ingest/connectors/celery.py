"""Celery: the events its workers send, from a Redis or RabbitMQ broker, joined by nobody."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from apps.ingest import broker_url
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Delivery,
    Gap,
    Guarantee,
    Lag,
    Line,
    Record,
    Refused,
    Setting,
    Surroundings,
    TapError,
)
from apps.ingest.connectors import rabbitmq_wire, redis_wire
from apps.ingest.connectors.celery_events import CHANNEL, Tasks, unpacked

PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
EXCHANGE = "celeryev"
BYTES = 8 * 1024 * 1024
EXPIRES_S = 60
LISTENED = "listened"  # lane of the cursor: until when we listened, in µs
SWITCHED_ON = (
    "Workers send task events only when started with -E, or after `celery control enable_events`; "
    "task-sent needs task_send_sent_event in the producer."
)


class Celery:
    """The task events of one broker."""

    bus: ClassVar[str] = "celery"
    title: ClassVar[str] = "Celery"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Broker", kind="url", required=True, secret=True,
                help="the broker_url of the workers: redis://host:6379/0 or amqp://host:5672//"),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._around = around
        self._redis = self._url.scheme.startswith("redis")
        if self._redis and self._url.path and not self._url.path.isdecimal():
            raise BadSettings("setting url ends with the number of a database; expected …:6379/0")
        self._events: RedisEvents | AmqpEvents | None = None

    def guarantee(self) -> Guarantee:
        return Guarantee(
            "lossy",
            "Celery keeps no events: what workers say while evdebug is not listening is lost, and "
            "told as a gap. What is heard is exact for each task and attempt.",
        )

    def place(self) -> str:
        return f"{self._url.shown} · task events"

    def check(self) -> Checked:
        events = None
        try:
            events = self._connected()
            there = Line("ok", f"The broker answers at {self._url.shown}.")
            return Checked([there, Line("note", SWITCHED_ON)])
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            if events is not None:
                events.close()

    def _connected(self) -> RedisEvents | AmqpEvents:
        kind = RedisEvents if self._redis else AmqpEvents
        return kind(self._url, self._around)

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._events = self._connected()
        self._events.listen()
        self._tasks = Tasks()
        self._first = LISTENED not in cursor
        self._gaps = [] if self._first else [_deaf()]

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._events is not None, "read before open"
        records: list[Record] = []
        deliveries: list[Delivery] = []
        size, until = 0, time.monotonic() + wait
        while len(records) < limit and len(deliveries) < limit and size < BYTES:
            idle = not (records or deliveries)
            body = self._events.next(max(until - time.monotonic(), 0) if idle else 0)
            if body is None:
                break
            size += len(body)
            commands, told = self._tasks.told(unpacked(body))
            records += commands
            deliveries += told
        gaps, self._gaps = self._gaps, []
        if not (records or deliveries or gaps or self._first):
            return Batch()
        self._first = False
        return Batch(records, deliveries, (), gaps, {LISTENED: str(time.time_ns() // 1000)})

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()


class RedisEvents:
    """Events as kombu fans them out over Redis: on channels named after the event."""

    def __init__(self, url: broker_url.BrokerUrl, around: Surroundings) -> None:
        self._wire = redis_wire.Wire(url, around)
        self._pattern = f"/{int(url.path or 0)}.{EXCHANGE}/*"

    def listen(self) -> None:
        self._wire.send("PSUBSCRIBE", self._pattern)
        while self._wire.next(1) is None:
            pass

    def next(self, wait: float) -> bytes | None:
        """Return the next message, None when there is none for `wait` seconds."""
        said = self._wire.next(wait)
        return None if said is None or said[0] != b"pmessage" else said[-1]

    def close(self) -> None:
        self._wire.close()


class AmqpEvents:
    """Events from the exchange `celeryev`, by a queue that ends with the connection."""

    def __init__(self, url: broker_url.BrokerUrl, around: Surroundings) -> None:
        self._wire = rabbitmq_wire.Wire(url, around)

    def listen(self) -> None:
        try:
            self._wire.call("exchange_declare", EXCHANGE, "topic", passive=True)
        except Refused:
            words = f"No worker has sent events to {self._wire.shown} yet. {SWITCHED_ON}"
            raise Refused(words) from None
        queue = self._wire.call(
            "queue_declare", "", exclusive=True, auto_delete=True,
            arguments={"x-expires": EXPIRES_S * 1000},
        ).queue  # fmt: skip
        self._wire.call("queue_bind", queue, EXCHANGE, "#")
        self._wire.consume(queue, EXCHANGE, no_ack=True)

    def next(self, wait: float) -> bytes | None:
        """Return the next message, None when there is none for `wait` seconds."""
        given = self._wire.next(wait)
        return None if given is None else given.body

    def close(self) -> None:
        self._wire.close()


def _deaf() -> Gap:
    return Gap(
        channel=CHANNEL, cause="disconnected", at=time.time_ns() // 1000,
        words="Nobody listened for a while; the events of that time are lost.",
    )  # fmt: skip
