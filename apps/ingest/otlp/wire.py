"""OTLP as bytes into spans: `ExportTraceServiceRequest`, in protobuf and in JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from apps.ingest.problems import Refused

JSON, PROTOBUF = "application/json", "application/x-protobuf"
KINDS = {f"SPAN_KIND_{name}": n for n, name in enumerate(
    ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))}  # fmt: skip
STATUSES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
UNNAMED = "unknown_service"
MOST = 100_000  # spans of one request
OBJECTS = 500_000  # of JSON: what is small on the wire is large in memory

Attributes = dict[str, Any]


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What all spans of one scope of one service share."""

    service: str
    metadata: bytes  # resource and scope as a JSON object


class Link(msgspec.Struct, frozen=True, gc=False):
    """Another span that this one is about. Ids are hexadecimal."""

    trace: str
    span: str
    attributes: Attributes


class Happening(msgspec.Struct, frozen=True, gc=False):
    """An event within a span, such as an exception. Times are nanoseconds since 1970."""

    name: str
    time: int
    attributes: Attributes


class Span(msgspec.Struct, frozen=True, gc=False):
    """One span, whatever it was written in."""

    origin: Origin
    trace: str
    span: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    attributes: Attributes
    status: int
    message: str
    happenings: list[Happening]
    links: list[Link]


def spans(body: bytes, form: str) -> list[Span]:
    """Return the spans of a request, in the order they are in.

    raises  Refused: 400 where the body is not what `form` says, 413 for too many spans
    """
    return list(_of_json(body) if form == JSON else _of_protobuf(body))


def _too_many() -> Refused:
    return Refused(
        413, "too_many_events",
        f"a request holds more than {MOST} spans, or {OBJECTS} objects of JSON; send fewer at once",
    )  # fmt: skip


def origin(resource: Attributes, scope: str, version: str) -> Origin:
    """Return what the spans of a scope share."""
    service = resource.get("service.name")
    held: dict[str, Any] = {
        name: value for name, value in resource.items()
        if name != "service.name" and not name.startswith("telemetry.sdk.")
    }  # fmt: skip
    if scope:
        held["otel.scope"] = f"{scope} {version}".rstrip()
    name = service if isinstance(service, str) and service else UNNAMED
    return Origin(name, msgspec.json.encode(held) if held else b"")


# --- protobuf ---------------------------------------------------------------------------------


@cache
def _request() -> Any:
    # On first use: it takes some 80 ms, which who never sends a span need not wait for.
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    return trace_service_pb2.ExportTraceServiceRequest


def _of_protobuf(body: bytes) -> Iterator[Span]:
    from google.protobuf.message import DecodeError

    try:
        request = _request().FromString(body)
    except DecodeError as error:
        raise Refused(
            400, "invalid_protobuf", f"the body is no ExportTraceServiceRequest: {error}"
        ) from None
    scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
    if sum(len(scope.spans) for scope in scopes) > MOST:
        raise _too_many()
    for resource in request.resource_spans:
        shared = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            by = origin(shared, scope.scope.name, scope.scope.version)
            for s in scope.spans:
                status = s.status
                yield Span(
                    by, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), s.name, s.kind,
                    s.start_time_unix_nano, s.end_time_unix_nano, _attributes(s.attributes),
                    status.code, status.message,
                    [Happening(e.name, e.time_unix_nano, _attributes(e.attributes))
                     for e in s.events],
                    [Link(k.trace_id.hex(), k.span_id.hex(), _attributes(k.attributes))
                     for k in s.links],
                )  # fmt: skip


def _attributes(pairs: Iterable[Any]) -> Attributes:
    found: Attributes = {}
    for pair in pairs:
        value = pair.value
        which = value.WhichOneof("value")
        if which == "string_value":
            found[pair.key] = value.string_value
        elif which == "int_value":
            found[pair.key] = value.int_value
        else:
            found[pair.key] = _value(value, which)
    return found


def _value(value: Any, which: str | None) -> Any:
    if which is None:
        return None
    inner = getattr(value, which)
    if which == "array_value":
        return [_value(v, v.WhichOneof("value")) for v in inner.values]
    if which == "kvlist_value":
        return _attributes(inner.values)
    return base64.b64encode(inner).decode() if which == "bytes_value" else inner


# --- JSON: the names of the protobuf in camel case, 64-bit numbers as text, ids in hexadecimal --


class _Any(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Array(msgspec.Struct):
    values: list[_Any] = []


class _Pair(msgspec.Struct):
    key: str
    value: _Any | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] = []


class _Resource(msgspec.Struct):
    attributes: list[_Pair] = []


class _Scope(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Status(msgspec.Struct):
    code: int | str = 0
    message: str = ""


class _Link(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_Pair] = []


class _Event(msgspec.Struct, rename="camel"):
    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[_Pair] = []


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Pair] = []
    status: _Status | None = None
    events: list[_Event] = []
    links: list[_Link] = []


class _ScopeSpans(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    spans: list[_Span] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = []


_decode = msgspec.json.Decoder(_Request).decode


def _of_json(body: bytes) -> Iterator[Span]:
    if body.count(b"{") > OBJECTS:
        raise _too_many()
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            400, "invalid_json", f"the body is no ExportTraceServiceRequest in JSON: {error}"
        ) from None
    for resource in request.resource_spans:
        shared = _members(resource.resource.attributes if resource.resource else [])
        for scope in resource.scope_spans:
            named = scope.scope or _Scope()
            by = origin(shared, named.name, named.version)
            for s in scope.spans:
                yield _of_struct(by, s)


def _of_struct(by: Origin, s: _Span) -> Span:
    status = s.status or _Status()
    return Span(
        by, s.trace_id.lower(), s.span_id.lower(), s.parent_span_id.lower(), s.name,
        _number(s.kind, KINDS), _number(s.start_time_unix_nano), _number(s.end_time_unix_nano),
        _members(s.attributes), _number(status.code, STATUSES), status.message,
        [Happening(e.name, _number(e.time_unix_nano), _members(e.attributes)) for e in s.events],
        [Link(k.trace_id.lower(), k.span_id.lower(), _members(k.attributes)) for k in s.links],
    )  # fmt: skip


def _members(pairs: Iterable[_Pair]) -> Attributes:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: _Any | None) -> Any:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _number(value.int_value)
    if value.array_value is not None:
        return [_plain(v) for v in value.array_value.values]
    if value.kvlist_value is not None:
        return _members(value.kvlist_value.values)
    for plain in (value.bool_value, value.double_value, value.bytes_value):
        if plain is not None:
            return plain
    return None


def _number(value: int | str, names: dict[str, int] | None = None) -> int:
    if isinstance(value, int):
        return value
    if names and value in names:
        return names[value]
    digits = value.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 21:
        return int(value)
    raise Refused(400, "invalid_json", f"{value[:80]!r} stands where a number is expected")
