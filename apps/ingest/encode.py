"""Recorded events as they leave: CloudEvents that can come back unchanged, JSON lines, CSV."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
from msgspec import Raw

from apps.eventlog.envelope import Recorded, is_json, isoformat, jsonable
from apps.ingest import build
from apps.ingest.cloudevents import ATTRIBUTE

NOWHERE = "urn:evdebug:no-source"  # CloudEvents want a source; `evdebugsource` says there is none
COLUMNS = (
    "position", "time", "recorded_at", "kind", "type", "source", "stream", "revision", "id",
    "correlation", "causation", "cause", "channel", "partition", "offset", "key",
    "datacontenttype", "data", "metadata",
)  # fmt: skip
_RESERVED = frozenset(build.CLOUD) | build.ASIDE | {"data"}
_OURS = re.compile(r"evdebug")
# What a spreadsheet takes for the beginning of a formula, full-width signs included.
FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_value = msgspec.json.Decoder(Raw).decode
_encode = msgspec.json.encode


def cloudevent(event: Recorded, *, cause_source: str = "") -> bytes:
    """Return an event as one line of structured CloudEvents JSON, from which `decode` makes the
    same event again: its data byte for byte, and all but what the log itself decided.

    cause_source  the source of the causing event, where it is known
    """
    shape: dict[str, Any] = {
        "specversion": "1.0", "id": event.id, "source": event.source or NOWHERE,
        "type": event.type, "time": isoformat(event.time),
    }  # fmt: skip
    named = {
        "subject": event.stream, "correlationid": event.correlation,
        "causationid": event.causation, "partitionkey": event.key, "sequence": event.offset,
        "evdebugcausesource": cause_source, "evdebugchannel": event.channel,
        "evdebugpartition": event.partition, "evdebugtap": event.tap,
    }  # fmt: skip
    shape |= {name: value for name, value in named.items() if value}
    if event.kind != "event":
        shape["evdebugkind"] = event.kind
    if not event.source:
        shape["evdebugsource"] = ""
    if event.content_type != "application/json":
        shape["datacontenttype"] = event.content_type
    shape |= _metadata(event.metadata)
    if event.data is None:
        shape["evdebugforgotten"] = True
    elif event.data:
        shape |= _data(event.data, event.content_type)
    return _encode(shape)


def _metadata(metadata: bytes) -> dict[str, Any]:
    """Return metadata as extension attributes, or verbatim where they could not say it all."""
    if not metadata:
        return {}
    entries = {name: bytes(value) for name, value in _object(metadata).items()}
    plain = all(
        ATTRIBUTE.fullmatch(name) and name not in _RESERVED and not _OURS.match(name)
        and value[:1] not in b"[{n"
        for name, value in entries.items()
    )  # fmt: skip
    again = b"{" + b",".join(_encode(n) + b":" + value for n, value in entries.items()) + b"}"
    if plain and again == metadata:
        return {name: Raw(value) for name, value in entries.items()}
    return {"evdebugmetadata": metadata.decode()}


def _data(data: bytes, content_type: str) -> dict[str, Any]:
    if is_json(content_type):
        if is_one_line(data) and _is_value(data):
            return {"data": Raw(data)}
    else:
        try:
            return {"data": data.decode()}
        except UnicodeDecodeError:
            pass
    return {"data_base64": base64.b64encode(data).decode()}


def is_one_line(data: bytes) -> bool:
    """Return whether JSON data can stand in a line of JSON as it is."""
    return not (b"\n" in data or b"\r" in data or data[:1] in b" \t" or data[-1:] in b" \t")


def _is_value(data: bytes) -> bool:
    try:
        data.decode()
        return bytes(_value(data)) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def jsonl(event: Recorded) -> bytes:
    """Return an event in the shape of the JSON API as one line."""
    shape = jsonable(event)
    data = shape.get("data")
    if isinstance(data, Raw):
        # Line ends between the values of pretty JSON: within strings they are always escaped.
        shape["data"] = Raw(bytes(data).replace(b"\r", b" ").replace(b"\n", b" "))
    return _encode(shape)


def cells(event: Recorded) -> list[str]:
    """Return an event as the cells of COLUMNS, none of which a spreadsheet would run."""
    data = event.data
    try:
        text = "" if data is None else data.decode()
    except UnicodeDecodeError:
        text = "base64:" + base64.b64encode(data or b"").decode()
    values = (
        event.position, isoformat(event.time), isoformat(event.recorded_at), event.kind,
        event.type, event.source, event.stream, event.revision, event.id, event.correlation,
        event.causation, event.cause, event.channel, event.partition, event.offset, event.key,
        event.content_type, text, event.metadata.decode("utf-8", "replace"),
    )  # fmt: skip
    return [_cell(value) for value in values]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and FORMULA.match(text) else text
