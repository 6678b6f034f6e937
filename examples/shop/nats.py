"""The shop over NATS JetStream: a stream per channel, a durable consumer per service."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import nats
from nats.js.api import AckPolicy, ConsumerConfig

from examples.shop.broker import Arrival
from examples.shop.bus import CHANNELS, Channel

KEPT = 100_000  # messages of a stream
ACK_WAIT_S = 30
GLANCE_S = 0.005


class Nats:
    """`Broker` for NATS."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._run(nats.connect(url, connect_timeout=5, allow_reconnect=False))
        self._js = self._client.jetstream()
        self._subscriptions: dict[str, list[tuple[str, Any]]] = {}
        for name in CHANNELS:
            self._run(self._js.add_stream(name=name, subjects=[f"{name}.*"], max_msgs=KEPT))

    def _run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(step)

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        self._run(self._js.publish(f"{channel.name}.{partition}", body))

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        config = ConsumerConfig(
            durable_name=group, ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S
        )
        self._subscriptions[group] = [
            (c.name, self._run(self._js.pull_subscribe("", group, stream=c.name, config=config)))
            for c in channels
        ]

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        found: list[Arrival] = []
        for _, subscription in self._subscriptions[group]:
            if limit - len(found) <= 0:
                break
            try:
                came = self._run(subscription.fetch(limit - len(found), timeout=GLANCE_S))
            except TimeoutError:  # nothing there
                continue
            found += [Arrival(group, message.subject, message.data, message) for message in came]
        return found

    def acknowledge(self, arrival: Arrival) -> None:
        if not arrival.token._ackd:
            self._run(arrival.token.ack())

    def bury(self, arrival: Arrival, why: str) -> None:
        self._run(arrival.token.term())

    def close(self) -> None:
        self._run(self._client.flush())
        self._run(self._client.close())
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._run(asyncio.wait(left))
        self._loop.close()
