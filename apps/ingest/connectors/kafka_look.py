"""A look at a Kafka cluster, which changes nothing: its topics, groups and last records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import TopicPartition

from apps.ingest.connector import BadSettings, Checked, Line, Record, TapError
from apps.ingest.connectors.kafka_client import Talk
from apps.ingest.connectors.kafka_records import record

BUFFER_KB = 16_384
Place = tuple[str, int]


def looked_at(
    talk: Talk, settings: Mapping[str, Any], wanted: re.Pattern[str], groups: re.Pattern[str]
) -> Checked:
    """Return what is to be said of the topics and groups wanted."""
    try:
        admin = talk.admin()
        topics = talk.topics(admin, wanted)
        lines = [Line("ok", f"Connected to cluster {talk.cluster}.")]
        if not topics:
            lines.append(Line("note", "No such topic is there yet."))
        for name in sorted(missing(settings["topics"], topics)):
            lines.append(Line("problem", f"There is no topic {name}."))
        ends = talk.ends(admin, partitions(topics))
        waiting = sum(high - low for low, high in ends.values())
        words = f"{len(topics)} topics with {len(ends)} partitions hold {waiting:,} records."
        lines += [Line("ok", words), _told(talk.groups(admin, groups))]
        return Checked(lines, list(_sample(talk, ends)))
    except TapError as error:
        return Checked([Line("problem", str(error))])


def missing(wanted: list[str], topics: Mapping[str, Any]) -> set[str]:
    """Return the topics that are asked for by name and not there."""
    return {t for t in wanted if not t.startswith("^")} - set(topics)


def _sample(talk: Talk, ends: Mapping[Place, tuple[int, int]]) -> Iterator[Record]:
    """Yield the last records of the fullest partition."""
    full = [(high, place) for place, (low, high) in ends.items() if high > low]
    if not full:
        return
    high, (topic, partition) = max(full)
    consumer = talk.consumer(BUFFER_KB)
    try:
        low = ends[topic, partition][0]
        consumer.assign([TopicPartition(topic, partition, max(high - 3, low))])
        for message in consumer.consume(3, timeout=3):
            if not message.error():
                yield record(message, "")
    finally:
        consumer.close()


def partitions(topics: Mapping[str, Any]) -> list[Place]:
    """Return the partitions of topics."""
    return [(name, p.id) for name, topic in topics.items() for p in topic.partitions]


def pattern(words: list[str], setting: str) -> re.Pattern[str]:
    """Return what matches the names listed and the ^patterns."""
    parts = []
    for word in words:
        if not word.startswith("^"):
            parts.append(re.escape(word))
        elif len(word) > 200:
            raise BadSettings(f"setting {setting}: a pattern has at most 200 characters")
        else:
            parts.append(word[1:])
    try:
        return re.compile("|".join(f"(?:{part})" for part in parts))
    except re.error as error:
        raise BadSettings(f"setting {setting}: {error}") from None


def _told(groups: list[str]) -> Line:
    if not groups:
        return Line("note", "No consumer group is there to be watched.")
    more = f" and {len(groups) - 10} more" if len(groups) > 10 else ""
    return Line("ok", f"Groups to watch: {', '.join(sorted(groups)[:10])}{more}.")
