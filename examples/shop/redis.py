"""The shop over Redis Streams: a stream per channel, a group per service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redis import Redis as Client
from redis.exceptions import ResponseError

from examples.shop.broker import Arrival
from examples.shop.bus import Channel

KEPT = 100_000  # entries of a stream, about


class Redis:
    """`Broker` for Redis."""

    def __init__(self, url: str) -> None:
        self._client: Any = Client.from_url(url)
        self._client.ping()
        self._streams: dict[str, list[str]] = {}
        self._mine: set[str] = set()  # groups that still have entries of a life before

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        fields = {"data": body, "key": key, "lane": partition}
        self._client.xadd(channel.name, fields, maxlen=KEPT)

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        self._streams[group] = [channel.name for channel in channels]
        self._mine.add(group)
        for name in self._streams[group]:
            try:
                self._client.xgroup_create(name, group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        if limit <= 0:
            return
        place = "0" if group in self._mine else ">"
        self._mine.discard(group)
        streams = dict.fromkeys(self._streams[group], place)
        found = self._client.xreadgroup(group, f"{group}-1", streams, count=limit)
        for stream, entries in found or ():
            name = stream.decode()
            for entry, fields in entries:
                lane = f"{name}/{fields.get(b'lane', b'').decode()}"
                yield Arrival(group, lane, fields.get(b"data", b""), (name, entry))

    def acknowledge(self, arrival: Arrival) -> None:
        stream, entry = arrival.token
        self._client.xack(stream, arrival.group, entry)

    def bury(self, arrival: Arrival, why: str) -> None:
        stream, entry = arrival.token
        fields = {"data": arrival.body, "why": why, "entry": entry}
        self._client.xadd(f"{stream}.{arrival.group}.dlq", fields, maxlen=KEPT)

    def close(self) -> None:
        self._client.close()
