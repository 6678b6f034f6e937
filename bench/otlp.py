"""Spans as a Collector would send them: OTLP in protobuf, one request a line in base 64."""

from __future__ import annotations

import base64
from pathlib import Path
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

NOON, MS = 1_778_587_200_000_000_000, 1_000_000  # ns
FLOW = 5  # spans: one published, two consumers in traces of their own, a query within each


def write(path: Path, requests: int, size: int) -> int:
    """Write `requests` bodies of about `size` spans each and return how many spans there are."""
    random, count = Random(str(path)), 0
    with path.open("wb") as out:
        for n in range(requests):
            spans: list[Span] = []
            for m in range(max(1, size // FLOW)):
                spans += _flow(random, NOON + (n * size + m) * 25 * MS)
            count += len(spans)
            out.write(base64.b64encode(_request(spans).SerializeToString()) + b"\n")
    return count


def _flow(random: Random, at: int) -> list[Span]:
    trace, sent = random.randbytes(16), random.randbytes(8)
    bus = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
    send = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    take = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    made = [Span(
        trace_id=trace, span_id=sent, name="send orders", kind=Span.SPAN_KIND_PRODUCER,
        start_time_unix_nano=at, end_time_unix_nano=at + MS, attributes=_pairs(bus | send),
    )]  # fmt: skip
    for group in ("payments", "stock"):
        theirs, taken = random.randbytes(16), random.randbytes(8)
        made.append(Span(
            trace_id=theirs, span_id=taken, name="process orders", kind=Span.SPAN_KIND_CONSUMER,
            start_time_unix_nano=at + 2 * MS, end_time_unix_nano=at + 9 * MS,
            attributes=_pairs(bus | take | {"messaging.consumer.group.name": group}),
            links=[Span.Link(trace_id=trace, span_id=sent)],
        ))  # fmt: skip
        query = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM orders"}
        made.append(Span(
            trace_id=theirs, span_id=random.randbytes(8), parent_span_id=taken, name="SELECT",
            kind=Span.SPAN_KIND_CLIENT, start_time_unix_nano=at + 3 * MS,
            end_time_unix_nano=at + 5 * MS, attributes=_pairs(query | {"server.address": "db"}),
        ))  # fmt: skip
    return made


def _request(spans: list[Span]) -> ExportTraceServiceRequest:
    resource = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    resource.resource.attributes.extend(_pairs({"service.name": "shop", "host.name": "h1"}))
    return ExportTraceServiceRequest(resource_spans=[resource])


def _pairs(attributes: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=k, value=AnyValue(string_value=v)) for k, v in attributes.items()]
