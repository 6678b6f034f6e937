"""Kafka, read by `assign` from offsets of our own: no group is joined and nothing is committed.

A lane of the cursor is `topic/partition`, its place the offset to read next; `topic:NAME` holds the
topic's id, by which a topic that was deleted and made again is told. What groups have committed is
in `kafka_groups.py`, what share groups settled in `kafka_shares.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from apps.ingest.buses import BEGIN
from apps.ingest.connector import (
    Batch,
    Checked,
    Cursor,
    Delivery,
    Gap,
    Guarantee,
    Lag,
    Record,
    Refused,
    Setting,
    Surroundings,
)
from apps.ingest.connectors.kafka_client import Talk, error_of, quiet
from apps.ingest.connectors.kafka_groups import Groups
from apps.ingest.connectors.kafka_letters import dead_letter
from apps.ingest.connectors.kafka_look import BUFFER_KB, looked_at, missing, partitions, pattern
from apps.ingest.connectors.kafka_records import record
from apps.ingest.connectors.kafka_shares import LANE, Shares

TIMEOUT_S = 10
LOOK_S = 10  # for new topics and partitions
TOGETHER_S = 0.02


class Kafka:
    """All records of some topics, and how far groups are in them."""

    bus: ClassVar[str] = "kafka"
    title: ClassVar[str] = "Kafka"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("servers", "Servers", kind="list", required=True,
                help="host:port of one broker or more"),
        Setting("topics", "Topics", kind="list", required=True,
                help="names, or a pattern such as ^shop\\..*"),
        Setting("groups", "Groups to watch", kind="list",
                help="names or a ^pattern; all groups when empty"),
        BEGIN,
        Setting("security", "Security", kind="choice", default="plaintext",
                choices=("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")),
        Setting("mechanism", "SASL mechanism", kind="choice", default="PLAIN",
                choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")),
        Setting("user", "User"),
        Setting("password", "Password", secret=True),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._settings, self._around = settings, around
        self._wanted = pattern(settings["topics"], "topics")
        self._groups_wanted = pattern(settings["groups"] or ["^.*"], "groups")
        self._talk = Talk(settings, around)
        self._consumer: Consumer | None = None
        self._places: dict[tuple[str, int], int] = {}  # the offset to read next
        self._topics: dict[str, tuple[str, int]] = {}  # id, generation
        self._gaps: list[Gap] = []
        self._groups: Groups | None = None
        self._shares: Shares | None = None
        self._looked = 0.0
        self._last_time: int | None = None

    def guarantee(self) -> Guarantee:
        return Guarantee(
            "exactly_once",
            "Every record that is committed on the broker, exactly once and in the order of its "
            "partition, with offsets kept here: no group is joined. Subscribers are seen by the "
            "offsets their groups commit: when a record was passed lies between two looks, and "
            "that it was handled well is the group's word. Groups that commit nothing are unseen. "
            "Share groups are seen record by record, attempts and rejections included, by what the "
            "broker writes down of them, if evdebug may read its topic __share_group_state.",
        )

    def place(self) -> str:
        return f"{', '.join(self._settings['servers'])} · {', '.join(self._settings['topics'])}"

    def check(self) -> Checked:
        return looked_at(self._talk, self._settings, self._wanted, self._groups_wanted)

    def open(self, cursor: Cursor) -> None:
        self.close()
        admin = self._talk.admin()
        topics = self._talk.topics(admin, self._wanted)
        if absent := missing(self._settings["topics"], topics):
            raise Refused(f"There is no topic {', '.join(sorted(absent))} on the broker.")
        self._consumer = self._talk.consumer(BUFFER_KB)
        self._groups = Groups(self._talk, self._groups_wanted, cursor)
        from_now = not cursor and self._settings["start"] == "now"
        self._shares = Shares(self._talk, self._groups_wanted, cursor, from_now=from_now)
        self._topics, self._places = _known(cursor)
        self._fresh = self._untold = not cursor
        self._take_on(admin, topics)
        self._looked = time.monotonic()

    def _take_on(self, admin: AdminClient, topics: Mapping[str, Any]) -> None:
        """Assign partitions that are new to us, each at the place to read next."""
        self._recognise(topics)
        ends = self._talk.ends(admin, partitions(topics))
        starts = self._starts(admin, [p for p in ends if p not in self._places], ends)
        assigned = {(tp.topic, tp.partition) for tp in self._client.assignment()}
        new = []
        for place, (low, high) in ends.items():
            if place in assigned:
                continue
            at = self._places.get(place)
            if at is None:
                at = starts[place]
            elif at < low:
                self._lost(place, at, low)
                at = low
            elif at > high:  # the log was cut: records were lost on the broker's side
                self._lost(place, high, at, cause="recreated")
                at = high
            self._places[place] = at
            new.append(TopicPartition(*place, at))
        if new:
            self._client.incremental_assign(new)
        self._fresh = False

    @property
    def _client(self) -> Consumer:
        assert self._consumer is not None, "open first"
        return self._consumer

    def _recognise(self, topics: Mapping[str, Any]) -> None:
        """Begin anew with topics that are not the ones they were."""
        for name, topic in topics.items():
            known = self._topics.get(name)
            identity = str(topic.topic_id)
            if known is None:
                self._topics[name] = (identity, 0)
            elif known[0] != identity:
                self._topics[name] = (identity, known[1] + 1)
                old = {place for place in self._places if place[0] == name}
                held = [tp for tp in self._client.assignment() if tp.topic == name]
                if held:
                    self._client.incremental_unassign(held)
                for place in sorted(old):
                    at = self._places.pop(place)
                    self._gaps.append(
                        Gap(channel=name, partition=str(place[1]), cause="recreated", at=_now(),
                            after=str(at - 1) if at else "",
                            words="The topic was deleted and made anew; what had not been read "
                                  "of the old one is lost.")
                    )  # fmt: skip

    def _starts(
        self,
        admin: AdminClient,
        new: Iterable[tuple[str, int]],
        ends: Mapping[tuple[str, int], tuple[int, int]],
    ) -> dict[tuple[str, int], int]:
        """Return where to begin partitions without a place: as set, or with all of later ones."""
        start, new = self._settings["start"], list(new)
        if start == "beginning" or not self._fresh or not new:
            return {place: ends[place][0] for place in new}
        if start == "now":
            return {place: ends[place][1] for place in new}
        assert isinstance(start, datetime)
        found = self._talk.at_time(self._client, new, int(start.timestamp() * 1000))
        return {place: found.get(place, ends[place][1]) for place in new}

    def _lost(self, place: tuple[str, int], at: int, low: int, *, cause: Any = "retention") -> None:
        words = "Retention removed records before they were read."
        if cause != "retention":
            words = "The partition ends before what was read of it: the broker lost records."
        self._gaps.append(
            Gap(channel=place[0], partition=str(place[1]), cause=cause, at=_now(), words=words,
                after=str(at - 1) if at else "", upto=str(low - 1), count=low - at)
        )  # fmt: skip

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._shares is not None
        if time.monotonic() - self._looked > LOOK_S or self._shares.wants_topics:
            self._look()
        records = [self._taken(m) for m in self._genuine(self._consume(limit, wait))]
        letters = [d for r in records if r.headers and (d := dead_letter(r)) is not None]
        assert self._groups is not None
        progress = self._groups.look(self._places, self._epoch)
        settled, shared = self._shares.look(self._topics, self._epoch)
        gaps, self._gaps = self._gaps, []
        return self._batch(records, [*letters, *settled], [*progress, *shared], gaps)

    def _batch(
        self, records: list[Record], told: list[Delivery], progress: Any, gaps: list[Gap]
    ) -> Batch:
        if not (records or told or progress or gaps or self._untold):
            return Batch()
        self._untold = False
        assert self._groups is not None
        assert self._shares is not None
        cursor = {f"{t}/{p}": str(at) for (t, p), at in self._places.items()}
        cursor |= {f"topic:{t}": f"{i} {g}" for t, (i, g) in self._topics.items()}
        cursor |= self._groups.cursor() | self._shares.cursor()
        return Batch(records, told, progress, gaps, cursor)

    def _consume(self, limit: int, wait: float) -> list[Message]:
        try:
            messages = self._client.consume(1, timeout=wait)
            if messages and limit > 1:
                messages += self._client.consume(limit - 1, timeout=TOGETHER_S)
        except KafkaException as error:
            raise error_of(error.args[0]) from None
        good = [m for m in messages if m.error() is None]
        if len(good) < len(messages):
            for message in messages:
                if message.error() is not None:
                    self._trouble(message)
        elif not messages:
            self._talk.raise_trouble()
        else:
            self._talk.well()
        return good

    def _genuine(self, messages: list[Message]) -> list[Message]:
        """Leave out what is of a topic made anew: its numbers may go on as if it were the old.

        The client goes by names; but what came from a topic that has its id still is the topic's.
        """
        found = self._talk.identities({m.topic() for m in messages})
        others = {name for name, identity in found.items() if identity != self._topics[name][0]}
        if not others:
            return messages
        self._look()  # and read them from their beginning, with the gap told
        return [m for m in messages if m.topic() not in others]

    def _trouble(self, message: Message) -> None:
        """Handle what the broker says instead of a record."""
        error = message.error()
        code = error.code()
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            place = (message.topic(), message.partition())
            self._client.incremental_unassign([TopicPartition(*place)])
            self._looked = 0  # and be taken on again, with the gap told
            return
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
            self._looked = 0
            return
        raise error_of(error)

    def _taken(self, message: Message) -> Record:
        topic, partition = message.topic(), message.partition()
        self._places[topic, partition] = message.offset() + 1
        found = record(message, self._epoch(topic))
        self._last_time = found.time
        return found

    def _epoch(self, topic: str) -> str:
        generation = self._topics.get(topic, ("", 0))[1]
        return str(generation) if generation else ""

    def _look(self) -> None:
        """Find new topics and partitions, and what became of those we have."""
        self._looked = time.monotonic()
        admin = self._talk.admin()
        topics = self._talk.topics(admin, self._wanted)
        self._take_on(admin, topics)

    def settle(self, batch: Batch) -> None:
        """Kafka is told nothing."""

    def lag(self) -> Lag:
        if self._consumer is None:
            return Lag()
        waiting = 0
        for place, at in self._places.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            waiting += max(high - at, 0)
        if not waiting:
            return Lag(0, 0)
        return Lag(waiting, None if self._last_time is None else max(_now() - self._last_time, 0))

    def close(self) -> None:
        if self._shares is not None:
            self._shares.close()
            self._shares = None
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._talk.close()


def _known(cursor: Cursor) -> tuple[dict[str, tuple[str, int]], dict[tuple[str, int], int]]:
    topics, places = {}, {}
    for lane, place in cursor.items():
        if lane.startswith("topic:"):
            identity, _, generation = place.partition(" ")
            topics[lane.removeprefix("topic:")] = (identity, int(generation))
        elif not lane.startswith(("group:", LANE)):
            topic, _, partition = lane.rpartition("/")
            places[topic, int(partition)] = int(place)
    return topics, places


def _now() -> int:
    return time.time_ns() // 1000


quiet()
