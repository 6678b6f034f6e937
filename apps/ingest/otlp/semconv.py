"""The names OpenTelemetry gives to messaging, old and new, and what a span does with a message.

The conventions are still in development and most instrumentations speak an older version, so
every name is brought to that of semantic conventions 1.44 first. Both are looked for: a program
may be told to send both (`OTEL_SEMCONV_STABILITY_OPT_IN=messaging/dup`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5  # kinds of span

SYSTEM = "messaging.system"
OPERATION = "messaging.operation.type"
OPERATION_NAME = "messaging.operation.name"
DESTINATION = "messaging.destination.name"
TEMPLATE = "messaging.destination.template"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
MESSAGE = "messaging.message.id"
CONVERSATION = "messaging.message.conversation_id"
OFFSET = "messaging.kafka.offset"
KEY = "messaging.kafka.message.key"
ROUTING_KEY = "messaging.rabbitmq.destination.routing_key"
DELIVERIES = "messaging.servicebus.message.delivery_count"
DISPOSITION = "messaging.servicebus.disposition_status"
EVENT_ID, EVENT_SOURCE = "cloudevents.event_id", "cloudevents.event_source"
EVENT_TYPE = "cloudevents.event_type"
TASK, RETRIES, TASK_STATE = "celery.task_name", "celery.retries", "celery.state"
ERROR = "error.type"

# Older names, and those of one system that became everybody's.
RENAMED = {
    "messaging.system.name": SYSTEM,
    "messaging.operation": OPERATION,
    "messaging.destination": DESTINATION,
    "messaging.source.name": DESTINATION,
    "messaging.destination.partition": PARTITION,
    "messaging.kafka.partition": PARTITION,
    "messaging.kafka.destination.partition": PARTITION,
    "messaging.kafka.source.partition": PARTITION,
    "messaging.eventhubs.partition.id": PARTITION,
    "messaging.kafka.consumer_group": GROUP,
    "messaging.kafka.consumer.group": GROUP,
    "messaging.consumer.group": GROUP,
    "messaging.rocketmq.client_group": GROUP,
    "messaging.eventhubs.consumer.group": GROUP,
    "messaging.destination.subscription.name": GROUP,
    "messaging.message_id": MESSAGE,
    "messaging.conversation_id": CONVERSATION,
    "messaging.kafka.message.offset": OFFSET,
    "messaging.kafka.message_key": KEY,
    "messaging.rabbitmq.routing_key": ROUTING_KEY,
    "messaging.gcp_pubsub.message.delivery_attempt": DELIVERIES,
}
KNOWN = {name: name for name in (
    SYSTEM, OPERATION, OPERATION_NAME, DESTINATION, TEMPLATE, PARTITION, GROUP, MESSAGE,
    CONVERSATION, OFFSET, KEY, ROUTING_KEY, DELIVERIES, DISPOSITION, EVENT_ID, EVENT_SOURCE,
    EVENT_TYPE, TASK, RETRIES, TASK_STATE, ERROR,
)}  # fmt: skip
_NAMES = RENAMED | KNOWN

CREATE, SEND, RECEIVE, PROCESS, SETTLE = "create", "send", "receive", "process", "settle"
OPERATIONS = {
    "create": CREATE, "send": SEND, "publish": SEND, "receive": RECEIVE, "poll": RECEIVE,
    "process": PROCESS, "deliver": PROCESS, "consume": PROCESS, "settle": SETTLE, "ack": SETTLE,
    "nack": SETTLE, "reject": SETTLE, "commit": SETTLE, "complete": SETTLE, "abandon": SETTLE,
    "defer": SETTLE, "dead_letter": SETTLE, "dead-letter": SETTLE,
}  # fmt: skip
# What settling a message says of it; anything else is the plain acknowledgement.
SETTLED = {
    "nack": "failed", "reject": "failed", "abandon": "failed", "defer": "received",
    "dead_letter": "dead_lettered", "dead-letter": "dead_lettered", "deadletter": "dead_lettered",
}  # fmt: skip


def normal(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `attributes` say of messaging, by today's names; today's wins over an older."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        now = _NAMES.get(name)
        if now is not None and (now == name or now not in found):
            found[now] = value
    return found


def operation(said: Mapping[str, Any], kind: int) -> str:
    """Return what a span does with a message: create, send, receive, process, settle; "" nothing.

    said  what `normal` made of its attributes
    """
    for name in (OPERATION, OPERATION_NAME):
        if name in said and (known := OPERATIONS.get(str(said[name]).lower())):
            return known
    if kind == PRODUCER:
        return SEND
    return PROCESS if kind == CONSUMER else ""
