"""Records of dead-letter topics: which record they were, and who gave up on it."""

from __future__ import annotations

from apps.ingest.connector import Delivery, Record

# (topic, partition, offset, who, why): Kafka Connect, Spring, and what many write by hand.
SPELLINGS = (
    ("__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset",
     "__connect.errors.connector.name", "__connect.errors.exception.message"),
    ("kafka_dlt-original-topic", "kafka_dlt-original-partition", "kafka_dlt-original-offset",
     "kafka_dlt-original-consumer-group", "kafka_dlt-exception-message"),
    ("x-original-topic", "x-original-partition", "x-original-offset", "x-original-consumer-group",
     "x-exception-message"),
)  # fmt: skip


def dead_letter(record: Record) -> Delivery | None:
    """Return the delivery a record of a dead-letter topic tells of, None for any other record."""
    headers = dict(reversed(record.headers))
    for topic, partition, offset, who, why in SPELLINGS:
        if topic not in headers:
            continue
        number, place = _number(headers.get(offset)), _number(headers.get(partition))
        if number is None or place is None:
            return None
        return Delivery(
            subscriber=_text(headers.get(who)) or record.channel, outcome="dead_lettered",
            evidence="dead_letter", channel=_text(headers[topic]), partition=str(place),
            offset=str(number), earliest=record.time, latest=record.time,
            error=_text(headers.get(why)), facts={"dead_letter_topic": record.channel},
        )  # fmt: skip
    return None


def _number(value: bytes | None) -> int | None:
    """Return a number written as text, or as Java writes an int or long."""
    if value is None:
        return None
    if value.isdigit():
        return int(value)
    return int.from_bytes(value) if len(value) in (4, 8) else None


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
