"""CloudEvents 1.0 into envelopes: structured JSON, and binary mode over HTTP.

Nearly all events pass through `quick`, one parse into a struct that leaves `data` as it was
written. Whatever that does not take, an extension it does not know or an error, is read again by
`one`, which goes attribute by attribute and knows what to say.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta, Raw

from apps.eventlog.envelope import Envelope, is_json
from apps.ingest import build, jsonscan, names, timestamps
from apps.ingest.problems import Invalid, shown
from apps.ingest.split import ATTRIBUTES, members_of

# A character is at most 4 bytes of UTF-8: 256 of them always fit; longer ones are measured.
Short = Annotated[str, Meta(max_length=256)]
Given = Annotated[str, Meta(min_length=1, max_length=256)]
ATTRIBUTE = re.compile(r"[a-z0-9]+")
REQUIRED = ("id", "source", "type")
TEXTS = frozenset({*REQUIRED, "specversion", "subject", "time", "datacontenttype", "dataschema"})
NUL = b"\\u0000"
QUICK_MAX = 65_536  # bytes; taking a larger one apart could take many times that


class Known(msgspec.Struct):
    """The attributes of a structured CloudEvent that nearly all have."""

    specversion: Literal["1.0"]
    id: Given
    source: Given
    type: Given
    subject: Short = ""
    time: Annotated[str, Meta(min_length=20, max_length=27)] | None = None
    datacontenttype: Given = "application/json"
    data: Raw = Raw(b"")
    correlationid: Short = ""
    causationid: Short = ""
    traceparent: Short = ""
    partitionkey: Short = ""
    sequence: Short = ""
    evdebugkind: Literal["event", "command", "response"] = "event"
    evdebugcausesource: Short = ""
    evdebugchannel: Short = ""
    evdebugpartition: Short = ""
    evdebugtap: Short = ""


class Usual(Known, forbid_unknown_fields=True):
    """A structured CloudEvent with none but these."""


_usual = msgspec.json.Decoder(Usual).decode
_known = msgspec.json.Decoder(Known).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_KEPT = frozenset(Known.__struct_fields__) - {"traceparent"}  # have a place outside of metadata
_SPECIAL = re.compile(r"evdebug.*|data_base64|data")


def quick(raw: bytes | Raw, nul: bool = True) -> Envelope | None:
    """Return the event in valid UTF-8 `raw` if it is a usual one, None for `one` to look closely.

    `nul` says whether NULs may be written in it; who reads many events looks for them once.
    """
    metadata = b""
    try:
        e: Known = _usual(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            e, metadata = _known(raw), _extensions(bytes(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Invalid):
            return None
    else:
        if e.traceparent:
            metadata = msgspec.json.encode({"traceparent": e.traceparent})
    if nul and NUL in bytes(raw):
        return None
    time = None
    if e.time is not None and (time := timestamps.usual(e.time)) is None:
        return None
    data = bytes(e.data)
    if e.datacontenttype != "application/json" and data[:1] == b'"':
        return None
    return Envelope(
        type=e.type, id=e.id, source=e.source, kind=e.evdebugkind, stream=e.subject, time=time,
        correlation=e.correlationid or (e.traceparent and names.trace_of(e.traceparent)),
        causation=e.causationid, offset=e.sequence, key=e.partitionkey,
        content_type=e.datacontenttype, data=data, metadata=metadata,
        causation_source=e.evdebugcausesource, channel=e.evdebugchannel,
        partition=e.evdebugpartition, tap=e.evdebugtap,
    )  # fmt: skip


def _extensions(raw: bytes) -> bytes:
    """Return the extension attributes as metadata; Invalid for any that wants a closer look."""
    if len(raw) > QUICK_MAX or jsonscan.more_than(raw, ATTRIBUTES):
        raise Invalid("", "")
    extra = {}
    for name, value in _object(raw).items():
        if name in _KEPT:
            continue
        text = bytes(value)
        if not ATTRIBUTE.fullmatch(name) or _SPECIAL.fullmatch(name) or text[:1] in b"[{n":
            raise Invalid("", "")
        extra[name] = text
    return names.metadata(extra)


def one(raw: bytes) -> Envelope:
    """Return the structured CloudEvent in `raw`; Invalid says what is wrong with it."""
    members = members_of(raw)
    data = members.pop("data", None)
    encoded = members.pop("data_base64", None)
    attributes = {k: v for k, v in members.items() if v != b"null"}  # null is the same as unset
    _check_names(attributes)
    if data is not None and encoded not in (None, b"null"):
        raise Invalid("both_data", "data and data_base64 are both there; CloudEvents allow one")
    content_type = _text(attributes, "datacontenttype") or "application/json"
    if encoded not in (None, b"null"):
        content = decode_base64(names.text_of(encoded or b"", "data_base64"))
    else:
        content = data_of(data or b"", content_type)
    return envelope(attributes, content, content_type)


def binary(headers: Iterable[tuple[bytes, bytes]], body: bytes, content_type: str) -> Envelope:
    """Return the CloudEvent whose attributes are `ce-` headers and whose data is the body."""
    attributes: dict[str, bytes] = {}
    for header, value in headers:
        if not header.lower().startswith(b"ce-"):
            continue
        name = header[3:].lower().decode("latin-1")
        if name in attributes:
            raise Invalid("bad_attribute", f"header ce-{name} is there twice; send it once")
        attributes[name] = msgspec.json.encode(header_text(value, f"header ce-{name}"))
    _check_names(attributes)
    if "datacontenttype" in attributes:
        raise Invalid(
            "bad_attribute", "header ce-datacontenttype: in binary mode Content-Type says it"
        )
    return envelope(attributes, body, content_type)


def header_text(value: bytes, field: str) -> str:
    """Return an attribute's value: unquoted, percent-decoded once, then read as UTF-8."""
    if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
        value = re.sub(rb"\\(.)", rb"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Invalid(
            "bad_text", f"{field} is not percent-encoded UTF-8 (byte {error.start})"
        ) from None


def envelope(attributes: dict[str, bytes], data: bytes, content_type: str) -> Envelope:
    """Return the envelope of a CloudEvent whose attributes are JSON texts; checks the MUSTs."""
    version = _text(attributes, "specversion")
    if not version:
        raise Invalid("missing_specversion", 'specversion is missing; CloudEvents 1.0 say "1.0"')
    if version != "1.0":
        raise Invalid("bad_specversion", f"specversion is {shown(version)}; expected '1.0'")
    for name in REQUIRED:
        if not _text(attributes, name):
            raise Invalid(
                f"missing_{name}", f"{name} is missing or empty; CloudEvents require a text there"
            )
    return build.envelope(attributes, data, content_type)


def data_of(raw: bytes, content_type: str) -> bytes:
    """Return the data that a `data` member stands for.

    JSON stays as it was written. For another content type CloudEvents put text into a JSON
    string, and the data is that text.
    """
    if not raw.startswith(b'"') or is_json(content_type):
        return raw
    return names.text_of(raw, "data").encode()


def decode_base64(text: str) -> bytes:
    """Return what `data_base64` stands for; Invalid unless it is strict base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("bad_base64", f"data_base64 is not base64: {error}") from None


def _check_names(attributes: Iterable[str]) -> None:
    for name in attributes:
        if name == "data":
            raise Invalid("bad_attribute_name", "an attribute must not be called 'data'")
        if not ATTRIBUTE.fullmatch(name):
            raise Invalid(
                "bad_attribute_name",
                f"attribute {shown(name)}: CloudEvents names are lower-case letters a-z and digits",
            )


def _text(attributes: dict[str, bytes], name: str) -> str:
    raw = attributes.get(name)
    return "" if raw is None else names.text_of(raw, name)
