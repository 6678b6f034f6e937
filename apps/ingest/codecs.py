"""From the bytes of a body to JSON, where they are another format's.

auto     JSON or text, by what the bus says of the content and by what the bytes look like
others   what the name says; with Avro and Protobuf also in Confluent's wire format, with a registry
The JSON is what is stored, as every page works on it; the metadata says which codec it came by.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from apps.eventlog.envelope import is_json
from apps.ingest.problems import Invalid

CODECS = ("auto", "json", "text", "bytes", "msgpack", "cbor", "avro", "protobuf")
JSON, TEXT, BYTES = "application/json", "text/plain", "application/octet-stream"
DEPTH = 200


class Body(NamedTuple):
    """A decoded body: what is stored, its content type, and what the metadata says of it."""

    data: bytes
    content_type: str
    facts: dict[str, Any]


Decode = Callable[[bytes], tuple[Any, dict[str, Any]]]


def decoded(body: bytes, content_type: str, codec: str, schemas: Decode | None = None) -> Body:
    """Return a body as it is stored.

    schemas  what reads Avro and Protobuf (`schemas.py`)
    raises   Invalid
    """
    if codec == "auto":
        return _auto(body, content_type)
    if codec == "json":
        return Body(body, content_type if is_json(content_type) else JSON, {})
    if codec == "text":
        return Body(_text(body), content_type or TEXT, {})
    if codec == "bytes":
        return Body(body, content_type or BYTES, {})
    if codec == "msgpack":
        return _as_json(lambda raw: (_msgpack(raw), {}), body, codec)
    if codec == "cbor":
        return _as_json(lambda raw: (_cbor(raw), {}), body, codec)
    if schemas is None:
        raise Invalid("no_schema", f"codec {codec} needs a schema or a registry")
    return _as_json(schemas, body, codec)


def _auto(body: bytes, content_type: str) -> Body:
    media = content_type.partition(";")[0].strip().lower()
    if is_json(content_type) or (not media and body.lstrip()[:1] in (b"{", b"[", b'"')):
        return Body(body, content_type or JSON, {})
    if media in ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack"):
        return decoded(body, "", "msgpack")
    if media == "application/cbor":
        return decoded(body, "", "cbor")
    if media and not media.startswith("text/"):
        return Body(body, content_type, {})
    if body[:1] == b"\0" and len(body) > 5:
        raise Invalid(
            "schema_needed",
            f"it begins as Confluent's wire format does, schema {int.from_bytes(body[1:5])}; set "
            "codec to avro or protobuf, and registry to the schema registry's address",
        )
    return Body(_text(body), content_type or TEXT, {})


def _text(body: bytes) -> bytes:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Invalid(
            "not_text", f"neither JSON nor text in UTF-8 (byte {error.start}); {_guess(body)}"
        ) from None
    if "\0" in text:
        raise Invalid("not_text", f"text holds NUL; {_guess(body)}")
    return body


def _guess(body: bytes) -> str:
    """Return what to try with bytes that are no text."""
    for codec, read in (("msgpack", _msgpack), ("cbor", _cbor)):
        try:
            if isinstance(read(body), dict | list):
                return f"codec {codec} reads it"
        except Invalid:
            continue
    return "set the codec to what it is, or to bytes"


def suggestion(detail: str) -> str:
    """Return the codec a problem's detail suggests, "" for none."""
    return next((c for c in CODECS if f"codec {c} reads it" in detail), "")


def _msgpack(body: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Invalid("bad_msgpack", f"it is not MessagePack: {error}") from None


def _cbor(body: bytes) -> Any:
    import io

    import cbor2

    source = io.BytesIO(body)
    try:
        value = cbor2.CBORDecoder(source).decode()
    except (cbor2.CBORDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise Invalid("bad_cbor", f"it is not CBOR: {error}") from None
    if source.read(1):
        raise Invalid("bad_cbor", "it is not CBOR: more follows")
    return value


def _as_json(decode: Decode, body: bytes, codec: str) -> Body:
    value, facts = decode(body)
    try:
        return Body(
            msgspec.json.encode(jsonable(value)), JSON, {"codec": codec, "size": len(body)} | facts
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("not_jsonable", f"{codec} holds what JSON cannot: {error}") from None


def jsonable(value: Any, depth: int = 0) -> Any:
    """Return a decoded value in the types of JSON; bytes become base64, odd keys become texts."""
    if depth > DEPTH:
        raise Invalid("too_deep", f"nested deeper than {DEPTH} levels")
    if isinstance(value, dict):
        return {_name(k): jsonable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v, depth + 1) for v in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal | UUID):
        return str(value)
    return str(value)


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(jsonable(key))
