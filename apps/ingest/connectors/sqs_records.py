"""A message of an SQS queue as the log of evdebug takes it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from apps.ingest.connector import Record

FIFO = ".fifo"
ASKED = ["SentTimestamp", "MessageGroupId", "MessageDeduplicationId", "SequenceNumber"]


def name_of(topic: str) -> str:
    """Return a topic's name, which ends its ARN."""
    return topic.rpartition(":")[2]


def record(message: Mapping[str, Any], queue: str) -> Record:
    """Return a message of our queue as a record: the notification in it, or else itself."""
    body, said = message["Body"], message.get("Attributes") or {}
    group = str(said.get("MessageGroupId", "")) if queue.endswith(FIFO) else ""
    facts = {
        name: said[attribute]
        for name, attribute in (("deduplication_id", ASKED[2]), ("sequence", ASKED[3]))
        if group and attribute in said
    }
    try:
        told = msgspec.json.decode(body, type=Notification)
        attributes = tuple((name, _value(a)) for name, a in told.MessageAttributes.items())
    except (msgspec.DecodeError, ValueError):  # sent to the queue itself, as by EventBridge
        return Record(
            body=body.encode(), channel=queue, offset=message["MessageId"], partition=group,
            key=group, facts=facts, time=int(said.get("SentTimestamp", 0)) * 1000 or None,
        )  # fmt: skip
    facts |= {"subject": told.Subject} if told.Subject else {}
    at = told.Timestamp
    return Record(
        body=told.Message.encode(), channel=name_of(told.TopicArn), offset=told.MessageId,
        headers=attributes, facts=facts, partition=group, key=group,
        time=None if at is None or at.tzinfo is None else int(at.timestamp() * 1000) * 1000,
    )  # fmt: skip


class Attribute(msgspec.Struct):
    """One of a notification's attributes."""

    Type: str
    Value: str


class Notification(msgspec.Struct, tag_field="Type", tag="Notification"):
    """What SNS puts into a queue, as far as we keep it."""

    MessageId: str
    TopicArn: str
    Message: str
    Timestamp: datetime | None = None
    Subject: str | None = None
    MessageAttributes: dict[str, Attribute] = {}


def _value(attribute: Attribute) -> bytes:
    if attribute.Type.startswith("Binary"):
        return base64.b64decode(attribute.Value)
    return attribute.Value.encode()
