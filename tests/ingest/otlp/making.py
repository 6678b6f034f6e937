"""Spans as OTLP writes them in JSON, and the same in protobuf."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOON = 1_778_587_200_000_000_000  # ns
MS = 1_000_000
KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def ids(trace: int, span: int) -> dict[str, str]:
    """Return the context of a span by small numbers."""
    return {"traceId": f"{trace:032x}", "spanId": f"{span:016x}"}


def context(trace: int, span: int) -> str:
    """Return the id its record has in the log."""
    return f"{trace:032x}-{span:016x}"


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP lists them."""
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def span(
    trace: int, number: int, kind: str, name: str = "orders", *, parent: int = 0, at: int = 0,
    took: int = 5, links: Sequence[tuple[Any, ...]] = (),
    error: str = "", **attributes: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return a span `at` ms after noon; in names of attributes `__` stands for a dot."""
    made: dict[str, Any] = ids(trace, number) | {
        "name": name, "kind": KINDS[kind], "startTimeUnixNano": str(NOON + at * MS),
        "endTimeUnixNano": str(NOON + (at + took) * MS),
        "attributes": pairs({k.replace("__", "."): v for k, v in attributes.items()}),
        "links": [
            ids(*link[:2]) | {"attributes": pairs(link[2] if len(link) > 2 else {})}
            for link in links
        ],
    }  # fmt: skip
    if parent:
        made["parentSpanId"] = f"{parent:016x}"
    if error:
        made["status"] = {"code": 2, "message": error}
    return made


def request(*services: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return an export of some services' spans."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": pairs({"service.name": name, "host.name": "h1"})},
                "scopeSpans": [{"scope": {"name": "by-hand", "version": "1"}, "spans": spans}],
            }
            for name, spans in services
        ]
    }


def as_json(made: dict[str, Any]) -> bytes:
    """Return a request in JSON."""
    return json.dumps(made).encode()


def as_protobuf(made: dict[str, Any]) -> bytes:
    """Return the same request in protobuf."""

    def packed(text: str) -> str:  # protobuf's own JSON has bytes in base 64
        return base64.b64encode(bytes.fromhex(text)).decode()

    made = copy.deepcopy(made)
    for resource in made["resourceSpans"]:
        for each in resource["scopeSpans"][0]["spans"]:
            for holder in (each, *each["links"]):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in holder:
                        holder[name] = packed(holder[name])
    return bytes(ParseDict(made, ExportTraceServiceRequest()).SerializeToString())
