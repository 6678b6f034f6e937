"""The shop over MQTT: a topic per channel and lane, a session that is kept per service."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from examples.shop.broker import Arrival
from examples.shop.bus import Channel

SESSION_S = 3600


class Mqtt:
    """`Broker` for MQTT 5."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "localhost", parts.port or 1883
        self._came: dict[str, deque[MQTTMessage]] = {}
        self._groups: dict[str, Client] = {}
        self._sender = self._connected("")
        self._sender.loop_start()

    def _connected(self, client_id: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, manual_ack=bool(client_id),
            protocol=MQTTProtocolVersion.MQTTv5,
        )  # fmt: skip
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S if client_id else 0
        client.connect(self._host, self._port, clean_start=not client_id, properties=properties)
        return client

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        self._sender.publish(f"{channel.name}/{partition}", body, qos=1)

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        came: deque[MQTTMessage] = deque()
        client = self._connected(f"shop-{group}")
        client.on_message = lambda _client, _data, message: came.append(message)
        client.subscribe([(f"{channel.name}/+", 1) for channel in channels])
        self._came[group], self._groups[group] = came, client

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        came, client = self._came[group], self._groups[group]
        if not came and client.loop(0.001) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            client.reconnect()
        messages = [came.popleft() for _ in range(min(limit, len(came)))]
        return [Arrival(group, m.topic, bytes(m.payload), m) for m in messages]

    def acknowledge(self, arrival: Arrival) -> None:
        self._groups[arrival.group].ack(arrival.token.mid, arrival.token.qos)

    def bury(self, arrival: Arrival, why: str) -> None:
        channel = arrival.token.topic.partition("/")[0]
        self._sender.publish(f"{channel}.{arrival.group}.dlq", arrival.body, qos=1)

    def close(self) -> None:
        for client in [*self._groups.values(), self._sender]:
            client.disconnect()
        self._sender.loop_stop()
