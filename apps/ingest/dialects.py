"""How each ecosystem spells what an event is made of: the same word means different things.

A dialect is a name, a sign that a record is written in it, and a pick per part of the event. The
first whose sign is there is taken; the last, `plain`, has no sign. CloudEvents are not here: they
are recognised before (`records.py`), as they say what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apps.ingest.picks import Parts, Pick, parse

Sign = Callable[[Parts], bool]


@dataclass(frozen=True)
class Dialect:
    """One ecosystem's way to write an event."""

    name: str
    title: str
    sign: Sign
    written: Mapping[str, str]  # part of the event -> pick, as people read it
    picks: Mapping[str, Pick] = field(init=False)

    def __post_init__(self) -> None:
        picks = {part: parse(text) for part, text in self.written.items()}
        object.__setattr__(self, "picks", picks)


def _header(*names: str) -> Sign:
    return lambda parts: any(parts._header(name) is not None for name in names)


def _members(*names: str) -> Sign:
    return lambda parts: all(name in parts.members for name in names)


def _facts(**wanted: str) -> Sign:
    return lambda parts: all(parts.facts.get(name) == value for name, value in wanted.items())


def _metadata_has(name: str, *paths: str) -> Sign:
    picks = [parse(path) for path in paths]

    def there(parts: Parts) -> bool:
        from apps.ingest.picks import value

        return any(value(pick, parts) is not None for pick in picks)

    return there


COMMON = {
    "id": 'headers["event-id"] ?? headers["message-id"] ?? facts.message_id ?? data.event_id'
          " ?? data.eventId ?? data.messageId",
    "type": 'headers["event-type"] ?? headers.event_type ?? headers.eventType ?? headers.type'
            " ?? facts.type ?? data.event_type ?? data.eventType ?? data.type ?? data.event",
    "source": "headers.source ?? facts.app_id ?? data.source ?? data.service ?? data.producer",
    "stream": 'headers["stream"] ?? data.stream ?? data.stream_id ?? data.streamId'
              " ?? data.aggregate_id ?? data.aggregateId",
    "correlation": 'headers["correlation-id"] ?? headers["x-correlation-id"]'
                   " ?? headers.correlationid ?? headers.correlation_id ?? facts.correlation_id"
                   " ?? data.correlation_id ?? data.correlationId ?? data.correlationid",
    "causation": 'headers["causation-id"] ?? headers.causationid ?? headers.causation_id'
                 " ?? data.causation_id ?? data.causationId ?? data.causationid",
    "time": "headers.time ?? headers.timestamp ?? data.occurred_at ?? data.occurredAt"
            " ?? data.time ?? data.timestamp",
}  # fmt: skip
"""What events call their parts where no standard does. A bare `id` is not among them: it is nearly
always that of an order or a customer."""

DIALECTS = (
    Dialect(
        "masstransit", "MassTransit", _members("messageId", "messageType", "message"),
        {
            "id": "data.messageId", "type": "data.messageType.0",
            "source": "data.sourceAddress", "correlation": "data.conversationId",
            # The correlation id of the message that was consumed, not its message id.
            "causation": "data.initiatorId", "time": "data.sentTime", "data": "data.message",
        },
    ),
    Dialect(
        "nservicebus", "NServiceBus", _header("NServiceBus.MessageId"),
        {
            "id": 'headers["NServiceBus.MessageId"]',
            "type": 'headers["NServiceBus.EnclosedMessageTypes"]',
            "source": 'headers["NServiceBus.OriginatingEndpoint"]',
            "correlation": 'headers["NServiceBus.ConversationId"]',
            "causation": 'headers["NServiceBus.RelatedTo"]',
        },
    ),
    Dialect(
        "axon5", "Axon 5", _header("axon-metadata-causationId"),
        {
            "id": 'headers["axon-message-id"]', "type": 'headers["axon-message-type"]',
            "stream": 'headers["axon-message-aggregate-id"] ?? key',
            "correlation": 'headers["axon-metadata-correlationId"]',
            "causation": 'headers["axon-metadata-causationId"]',
            "time": 'headers["axon-message-timestamp"]',
        },
    ),
    Dialect(
        "axon4", "Axon 4", _header("axon-message-id"),
        {
            "id": 'headers["axon-message-id"]', "type": 'headers["axon-message-type"]',
            "stream": 'headers["axon-message-aggregate-id"] ?? key',
            # In Axon 4 correlationId is the id of the cause, and traceId what goes through all.
            "correlation": 'headers["axon-metadata-traceId"]',
            "causation": 'headers["axon-metadata-correlationId"]',
            "time": 'headers["axon-message-timestamp"]',
        },
    ),
    Dialect(
        "celery", "Celery message", lambda p: _header("root_id")(p) and _header("task")(p),
        {
            "id": "headers.id", "type": "headers.task", "source": "headers.origin",
            "correlation": "headers.root_id", "causation": "headers.parent_id",
            "kind": '"command"',
        },
    ),
    Dialect(
        "kurrentdb", "KurrentDB",
        _metadata_has("$", 'headers["$correlationId"]', 'data.metadata["$correlationId"]'),
        {
            "id": "headers.eventId ?? data.eventId ?? data.id",
            "type": "headers.eventType ?? data.eventType ?? data.type",
            "stream": "headers.streamId ?? data.streamId ?? data.eventStreamId",
            "correlation": 'headers["$correlationId"] ?? data.metadata["$correlationId"]',
            "causation": 'headers["$causationId"] ?? data.metadata["$causationId"]',
            "time": "data.created", "data": "data.data",
        },
    ),
    Dialect(
        "rails_event_store", "Rails Event Store",
        lambda p: _members("event_id", "event_type", "data", "metadata")(p),
        {
            "id": "data.event_id", "type": "data.event_type",
            "correlation": "data.metadata.correlation_id",
            "causation": "data.metadata.causation_id",
            "time": "data.timestamp ?? data.metadata.timestamp", "data": "data.data",
        },
    ),
    Dialect(
        "debezium", "Debezium",
        lambda p: _members("op", "source")(p) or _members("schema", "payload")(p),
        {
            "type": 'data.source.table + "." + data.op'
                    ' ?? data.payload.source.table + "." + data.payload.op',
            "source": "data.source.name ?? data.payload.source.name",
            "stream": "key",
            "time": "data.source.ts_ms ?? data.payload.source.ts_ms",
            "data": "data.payload ?? data",
        },
    ),
    Dialect(
        "outbox", "Debezium outbox row",
        lambda p: _members("aggregatetype", "aggregateid", "type", "payload")(p),
        {
            "id": "data.id", "type": "data.type", "source": "data.aggregatetype",
            "stream": 'data.aggregatetype + "-" + data.aggregateid', "data": "data.payload",
            "correlation": "data.correlation_id ?? data.correlationid",
            "causation": "data.causation_id ?? data.causationid",
            "time": "data.created_at ?? data.timestamp",
        },
    ),
    Dialect("plain", "plain", lambda parts: True, COMMON),
)  # fmt: skip
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def dialect_of(parts: Parts) -> Dialect:
    """Return the dialect a record is written in."""
    return next(dialect for dialect in DIALECTS if dialect.sign(parts))
