"""From a bus's record to an envelope: redaction, codec, dialect, mapping, in this order.

Pure, and total: whatever the record, the answer is an envelope or a problem with what may be kept.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, is_json
from apps.ingest import cloudevents, codecs, decode, dialects, media, names, picks, plain, redact
from apps.ingest.connector import Record
from apps.ingest.jobs import Rejected, rejected
from apps.ingest.problems import Invalid, Problem
from apps.ingest.split import members_of, utf8

PARTS = ("id", "type", "source", "stream", "kind", "correlation", "causation", "time", "data")
CE_HEADERS = re.compile(r"(?:ce[_-]|cloudEvents[:_])([A-Za-z0-9]+)\Z", re.IGNORECASE)
KEPT = 1024 * 1024  # bytes of a record that is rejected
PLAIN = codecs.Body(b"", media.JSON, {})  # what the codec adds to an event in JSON: nothing
PLAINLY = frozenset({str, bool})  # values that are JSON which any parser takes
AT_LEAST = {"specversion", "id", "source", "type"}


@dataclass(frozen=True)
class Form:
    """How a tap reads its records."""

    tap: str
    mapping: Mapping[str, picks.Pick] = field(default_factory=dict)
    codec: str = "auto"
    dialect: str = ""  # "" finds it out for each record
    redactor: redact.Redactor = redact.NOTHING
    schemas: codecs.Decode | None = None
    limits: decode.Limits = field(default_factory=decode.Limits)

    @property
    def usual(self) -> bool:
        """Whether it leaves records as they are."""
        return not (self.mapping or self.redactor or self.dialect) and self.codec == "auto"


@dataclass(slots=True)
class Taken:
    """What became of one record. `dialect` says how it was read."""

    envelope: Envelope | None
    reject: Rejected | None = None
    dialect: str = ""


def take(record: Record, form: Form) -> Taken:
    """Return the envelope of a record, or the reject it is."""
    body = record.body or b""
    if form.usual and (envelope := quick(record, form)) is not None:
        return Taken(envelope, dialect="cloudevents")
    if len(body) > form.limits.event:
        size = f"a record has {len(body)} bytes; at most {form.limits.event} are taken"
        return _reject(record, Problem(0, "event_too_big", size), form)
    try:
        envelope, dialect = _careful(record, body, form)
    except Invalid as error:
        return _reject(record, error.at(0), form)
    except redact.Withheld:
        detail = "what is to be redacted cannot be found in it, so nothing of it is kept"
        return _reject(record, Problem(0, "not_redactable", detail), form)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        return _reject(record, Problem(0, "unreadable", str(error)), form)
    return Taken(envelope, dialect=dialect)


def quick(record: Record, form: Form) -> Envelope | None:
    """Return a structured CloudEvent as nearly all are, None for `take` to look closer.

    `form` is a usual one.
    """
    body = record.body or b""
    if body[:1] != b"{" or not body.isascii() or len(body) > form.limits.event:
        return None
    if record.content_type and not is_json(record.content_type):
        return None
    e = cloudevents.quick(body)
    if e is None:
        return None
    correlation, metadata = e.correlation, e.metadata
    if record.headers or record.facts or record.epoch:
        try:
            metadata = _metadata(metadata, record, PLAIN)
        except Invalid:
            return None  # and hear what is to be said of it
        correlation = correlation or names.trace_of(
            _header(_headers(record.headers), "traceparent") if record.headers else ""
        )
    return msgspec.structs.replace(
        e, channel=record.channel or e.channel, partition=record.partition,
        offset=record.offset, key=record.key or e.key, tap=form.tap, correlation=correlation,
        time=record.time if e.time is None else e.time, metadata=metadata,
    )  # fmt: skip


def _careful(record: Record, body: bytes, form: Form) -> tuple[Envelope, str]:
    clean = form.redactor.record(record) if form.redactor else record
    found = codecs.decoded(body, record.content_type, form.codec, form.schemas)
    data = found.data
    if form.redactor:
        data = form.redactor.body(data, is_json=is_json(found.content_type))
    headers = _headers(clean.headers)
    cloud = _cloud(clean, data, found, headers, form)
    if cloud is not None and not form.mapping:
        return _placed(cloud, clean, found, headers, form), "cloudevents"
    if cloud is None and not form.mapping and (own := _plain(data, found)) is not None:
        return _placed(own, clean, found, headers, form), "plain"
    parts = _parts(clean, data, headers)
    dialect = dialects.BY_NAME.get(form.dialect) or dialects.dialect_of(parts)
    envelope = _mapped(clean, parts, dialect, cloud, found, form)
    return _placed(envelope, clean, found, headers, form), "cloudevents" if cloud else dialect.name


def _cloud(
    record: Record, data: bytes, found: codecs.Body, headers: Mapping[str, str], form: Form
) -> Envelope | None:
    """Return the CloudEvent a record is, None where it is none."""
    if form.dialect not in ("", "cloudevents"):
        return None
    if is_json(found.content_type) and b'"specversion"' in data[:65_536]:
        members = members_of(data) if data.lstrip()[:1] == b"{" else {}
        if "specversion" in members:
            utf8(data)
            return cloudevents.quick(data) or cloudevents.one(data)
    attributes = {}
    for name, value in headers.items():
        if (ce := CE_HEADERS.match(name)) and ce[1].lower() != "datacontenttype":
            attributes[ce[1].lower()] = msgspec.json.encode(value)
    if attributes.keys() >= AT_LEAST:
        for name in list(attributes):
            text = msgspec.json.decode(attributes[name], type=str)
            attributes[name] = msgspec.json.encode(cloudevents.header_text(text.encode(), name))
        return cloudevents.envelope(attributes, data, found.content_type or media.JSON)
    return None


def _plain(data: bytes, found: codecs.Body) -> Envelope | None:
    """Return an event in evdebug's own plain form, where a body can be nothing else."""
    if not is_json(found.content_type) or data.lstrip()[:1] != b"{":
        return None
    members = members_of(data)
    known = {*plain.FIELDS, *plain.OURS, "data", "data_base64", "datacontenttype", "time",
             "metadata", "cause"}  # fmt: skip
    if {"type", "data"} <= members.keys() <= known:
        return plain.of_members(members, fallback_id="-")
    return None


def _parts(record: Record, data: bytes, headers: Mapping[str, str]) -> picks.Parts:
    at = "" if record.time is None else str(record.time)
    return picks.Parts(
        body=data, headers=headers, facts=record.facts,
        plain={"key": record.key, "channel": record.channel, "partition": record.partition,
               "offset": record.offset, "time": at},
    )  # fmt: skip


def _mapped(
    record: Record,
    parts: picks.Parts,
    dialect: dialects.Dialect,
    cloud: Envelope | None,
    found: codecs.Body,
    form: Form,
) -> Envelope:
    members = _of_cloud(cloud) if cloud else {}
    chosen = dict(form.mapping) if cloud else {**dialect.picks, **form.mapping}
    if not cloud:
        members["data"] = data = parts.body
        if not is_json(found.content_type) or (form.codec == "auto" and not _is_json(data)):
            members["data"] = b""
    for part, pick in chosen.items():
        value = picks.value(pick, parts)
        text = value if part in ("data", "time") else msgspec.json.encode(picks.text_of(value))
        if value is not None and text is not None and text != b"null":
            members[part] = text
    if "type" not in members:
        members["type"] = msgspec.json.encode(record.channel.rpartition("/")[2] or "message")
    if "source" not in members:
        members["source"] = msgspec.json.encode(f"/{record.channel.strip('/') or form.tap}")
    if "stream" not in members and record.partition and record.key and not cloud:
        members["stream"] = msgspec.json.encode(record.key)
    envelope = plain.of_members(members, fallback_id="-")
    if not cloud and not members["data"]:
        envelope = msgspec.structs.replace(
            envelope, data=parts.body, content_type=found.content_type
        )
    return envelope


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if data.lstrip()[:1] in (b"{", b"["):
            raise Invalid("invalid_json", f"JSON is broken: {error}") from None
        return False
    return True


def _of_cloud(e: Envelope) -> dict[str, bytes]:
    encode = msgspec.json.encode
    texts = {
        "id": e.id, "type": e.type, "source": e.source, "stream": e.stream, "kind": e.kind,
        "correlation": e.correlation, "causation": e.causation,
        "datacontenttype": e.content_type,
    }  # fmt: skip
    members = {name: encode(value) for name, value in texts.items() if value}
    if e.time is not None:
        members["time"] = b"%d" % e.time
    if is_json(e.content_type):
        members["data"] = e.data or b"null"
    else:
        members["data_base64"] = encode(base64.b64encode(e.data).decode())
    if e.metadata:
        members["metadata"] = e.metadata
    return members


def _placed(
    e: Envelope, record: Record, found: codecs.Body, headers: Mapping[str, str], form: Form
) -> Envelope:
    """Return an envelope with where it came from: coordinates, headers, what the bus says."""
    correlation = e.correlation or names.trace_of(_header(headers, "traceparent"))
    checked = names.checked
    return msgspec.structs.replace(
        e,
        id=_identity(record, form.tap) if e.id == "-" else e.id,
        channel=checked(record.channel or e.channel, "channel"),
        partition=checked(record.partition, "partition"),
        offset=checked(record.offset, "offset"),
        key=checked(record.key or e.key, "key"),
        tap=form.tap,
        time=record.time if e.time is None else e.time,
        correlation=correlation,
        metadata=_metadata(e.metadata, record, found),
    )


def _identity(record: Record, tap: str) -> str:
    """Return the id of an event whose producer gave none: its place on the bus."""
    if not record.offset:
        return str(uuid.uuid4())
    where = f"{record.channel}/{record.partition}/{record.offset}".replace("//", "/")
    return f"{tap}:{where}" + (f"@{record.epoch}" if record.epoch else "")


def _headers(headers: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    """Return headers as texts; of equal names the first counts."""
    return {n: v.decode("utf-8", "backslashreplace") for n, v in reversed(headers)}


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((v for n, v in headers.items() if n.lower() == name), "")


def _metadata(start: bytes, record: Record, found: codecs.Body) -> bytes:
    entries: dict[str, Any] = {}
    for name, value in record.headers:
        if CE_HEADERS.match(name):
            continue
        text = _shown(value)
        held = entries.get(name)
        if held is None:
            entries[name] = text
        else:
            entries[name] = [*held, text] if isinstance(held, list) else [held, text]
    entries |= record.facts
    entries |= found.facts
    if record.body is None:
        entries["tombstone"] = True
    if record.epoch:
        entries["epoch"] = record.epoch
    if not entries:
        return start
    held_already = names.parsed(start, "metadata") if start else {}
    assert isinstance(held_already, dict)
    try:
        if not start and PLAINLY.issuperset(map(type, entries.values())):
            return names.fitting(msgspec.json.encode(entries))
        more = {n: msgspec.json.encode(v) for n, v in entries.items() if n not in held_already}
    except (TypeError, UnicodeEncodeError) as error:
        raise Invalid("bad_attribute", f"a header cannot be kept: {error}") from None
    return names.metadata(more, start=start)


def _shown(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _reject(record: Record, problem: Problem, form: Form) -> Taken:
    return Taken(None, refused(record, problem, form))


def refused(record: Record, problem: Problem, form: Form) -> Rejected:
    """Return what is kept of a record that cannot be an event, redacted."""
    body = record.body or b""
    kept, detail, origin = body, problem.detail, form.tap
    if form.redactor:
        kept = form.redactor.reject(body)
        # A message quotes what was wrong, and a pattern cannot see a value cut in half.
        detail = form.redactor.text(detail) if kept != redact.WITHHELD else problem.code
    return rejected(
        kept, Problem(0, problem.code, detail), origin=origin, line=0, size=len(body),
        content_type=record.content_type, keep=KEPT,
    )  # fmt: skip
