"""Talking to Kafka: clients, what they ask, and their errors in our words."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from apps.ingest.connector import BadSettings, Refused, Surroundings, TapError, Unreachable

TIMEOUT_S = 10
METADATA_S = 5
logger = logging.getLogger("evdebug.librdkafka")

AWAY = {
    KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT,
    KafkaError._RESOLVE, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT,
    KafkaError._DESTROY,
}  # fmt: skip


def quiet() -> None:
    """Keep the client library's own lines off stderr; what matters comes as errors."""
    logger.propagate = False
    logger.addHandler(logging.NullHandler())


def error_of(error: KafkaError) -> TapError:
    """Return the library's error as one of ours."""
    words = f"Kafka: {error.str()}"
    return Unreachable(words) if error.code() in AWAY or error.retriable() else Refused(words)


class Talk:
    """Makes clients for one tap and asks with them. librdkafka resolves and connects by itself, so
    every address, also those brokers advertise, is checked before anything is asked of it."""

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._settings, self._around = settings, around
        for server in settings["servers"]:
            _host_port(server)
        self._admin: AdminClient | None = None
        self._error: KafkaError | None = None
        self._silent = 0
        self.cluster = ""

    def _config(self) -> dict[str, Any]:
        s = self._settings
        for server in s["servers"]:
            self._reach(*_host_port(server))
        config: dict[str, Any] = {
            "bootstrap.servers": ",".join(s["servers"]),
            "client.id": f"evdebug-{self._around.name}",
            "security.protocol": s["security"],
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 2000,
            "socket.timeout.ms": TIMEOUT_S * 1000,
            "error_cb": self._note,
            "logger": logger,
        }
        if s["security"].startswith("sasl"):
            config |= {
                "sasl.mechanism": s["mechanism"],
                "sasl.username": s["user"],
                "sasl.password": s["password"],
            }
        return config

    def _reach(self, host: str, port: int) -> None:
        try:
            self._around.reach(host, port)
        except OSError as error:
            raise Unreachable(f"{host} cannot be found: {error.strerror or error}") from None

    def _note(self, error: KafkaError) -> None:
        self._error = error

    def well(self) -> None:
        """Forget trouble that is over."""
        self._error, self._silent = None, 0

    def raise_trouble(self) -> None:
        """Raise what the client noticed while nothing came, unless it may be over already."""
        if self._error is None:
            return
        self._silent += 1
        if self._error.code() not in AWAY or self._silent > 3:
            error, self._error, self._silent = self._error, None, 0
            raise error_of(error)

    def admin(self) -> AdminClient:
        """Return a client that asks, after a look at what brokers there are."""
        if self._admin is None:
            self._admin = AdminClient(self._config())
        self._metadata(self._admin)
        return self._admin

    def consumer(self, buffer_kb: int) -> Consumer:
        """Return a consumer that joins no group, commits nothing and resets nothing."""
        return Consumer(
            self._config()
            | {
                # The library wants a name; a group only comes to be by joining or committing.
                "group.id": f"evdebug-{self._around.name}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": buffer_kb,
                "fetch.wait.max.ms": 100,
                "fetch.message.max.bytes": 4 * 1024 * 1024,
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )

    def _metadata(self, admin: AdminClient) -> Any:
        try:
            found = admin.list_topics(timeout=METADATA_S)
        except KafkaException as error:
            admin.poll(0)
            if self._error is not None:
                raise error_of(self._error) from None
            raise error_of(error.args[0]) from None
        for broker in found.brokers.values():
            self._reach(broker.host, broker.port)
        self.cluster = found.cluster_id or ""
        return found

    def topics(self, admin: AdminClient, wanted: re.Pattern[str]) -> dict[str, Any]:
        """Return the topics whose name matches as a whole; the broker's own are never among."""
        names = [
            name for name in self._metadata(admin).topics
            if not name.startswith("__") and wanted.fullmatch(name)
        ]  # fmt: skip
        if not names:
            return {}
        asked = admin.describe_topics(TopicCollection(names), request_timeout=TIMEOUT_S)
        return {name: self._result(future) for name, future in asked.items()}

    def partitions(self, admin: AdminClient, topic: str) -> list[int]:
        """Return the partitions of one topic, none where it is not there or hidden from us."""
        found = self._metadata(admin).topics.get(topic)
        return [] if found is None or found.error else list(found.partitions)

    def identities(self, names: Collection[str]) -> dict[str, str]:
        """Return the ids of topics by name, without those that are not there."""
        if not names:
            return {}
        assert self._admin is not None, "ask for topics first"
        asked = self._admin.describe_topics(TopicCollection(list(names)), request_timeout=TIMEOUT_S)
        found = {}
        for name, future in asked.items():
            with suppress(Refused):
                found[name] = str(self._result(future).topic_id)
        return found

    def ends(
        self, admin: AdminClient, places: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """Return the first offset kept and the next to be given out, of each partition."""
        places = list(places)
        if not places:
            return {}
        low = self._offsets(admin, places, OffsetSpec.earliest())
        high = self._offsets(admin, places, OffsetSpec.latest())
        return {place: (low[place], high[place]) for place in places}

    def _offsets(
        self, admin: AdminClient, places: list[tuple[str, int]], spec: OffsetSpec
    ) -> dict[tuple[str, int], int]:
        asked = admin.list_offsets(
            {TopicPartition(*place): spec for place in places}, request_timeout=TIMEOUT_S
        )
        return {(tp.topic, tp.partition): self._result(f).offset for tp, f in asked.items()}

    def at_time(
        self, consumer: Consumer, places: Iterable[tuple[str, int]], ms: int
    ) -> dict[tuple[str, int], int]:
        """Return the first offset at or after a time; a partition without one is left out."""
        try:
            found = consumer.offsets_for_times(
                [TopicPartition(*place, ms) for place in places], timeout=TIMEOUT_S
            )
        except KafkaException as error:
            raise error_of(error.args[0]) from None
        return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}

    def groups(self, admin: AdminClient, wanted: re.Pattern[str]) -> list[str]:
        """Return the groups whose name matches as a whole."""
        listed = self._result(admin.list_consumer_groups(request_timeout=TIMEOUT_S))
        return [g.group_id for g in listed.valid if wanted.fullmatch(g.group_id)]

    def committed(
        self, admin: AdminClient, groups: Iterable[str]
    ) -> dict[str, dict[tuple[str, int], int]]:
        """Return what each group has committed."""
        asked = {
            group: admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=TIMEOUT_S
            )[group]
            for group in groups
        }
        return {
            group: {
                (tp.topic, tp.partition): tp.offset
                for tp in self._result(future).topic_partitions
                if tp.offset >= 0 and not tp.error
            }
            for group, future in asked.items()
        }

    def _result(self, future: Any) -> Any:
        try:
            return future.result(TIMEOUT_S)
        except KafkaException as error:
            raise error_of(error.args[0]) from None
        except TooLate:
            raise Unreachable(f"Kafka does not answer within {TIMEOUT_S} s.") from None

    def close(self) -> None:
        """Let go of the asking client."""
        self._admin = None


def _host_port(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon:
        host, port = server, "9092"
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in server:
        raise BadSettings(f"setting servers: {server!r}; expected host:port")
    return host.strip("[]"), int(port)
