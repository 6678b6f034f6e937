"""Avro and Protobuf: with a schema given, or with the one a registry has for the wire format's id.

Confluent's wire format: a zero byte, the schema's id in four bytes, for Protobuf the path of the
message in the schema's file as varints, then the value.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from apps.ingest.codecs import Decode
from apps.ingest.connector import BadSettings, Refused, Surroundings, TapError, Unreachable
from apps.ingest.problems import Invalid

ANSWER_MAX = 4 * 1024 * 1024
KEPT = 1000  # schemas
TIMEOUT_S = 10

Fetch = Callable[[int], dict[str, Any]]


def reader(codec: str, settings: Mapping[str, str], around: Surroundings) -> Decode | None:
    """Return what reads bodies of a codec, None for codecs that need no schema.

    raises  BadSettings
    """
    if codec not in ("avro", "protobuf"):
        return None
    registry, schema = settings.get("registry", ""), settings.get("schema", "")
    if not registry and not schema:
        raise BadSettings(f"codec {codec} needs a registry or a schema")
    if registry and urlsplit(registry).scheme not in ("http", "https"):
        raise BadSettings("registry: expected an address such as http://registry:8081")
    fetch = Registry(registry, around).schema if registry else None
    if codec == "avro":
        return _Avro(schema, fetch)
    return _Protobuf(schema, settings.get("message", ""), fetch)


class Registry:
    """A schema registry, asked once for each schema."""

    def __init__(self, url: str, around: Surroundings) -> None:
        self._url, self._around = url.rstrip("/"), around
        self._known: dict[int, dict[str, Any]] = {}

    def schema(self, number: int) -> dict[str, Any]:
        """Return what the registry says of a schema.  raises  Unreachable, Refused, Invalid"""
        if number not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[number] = self._ask(number)
        return self._known[number]

    def _ask(self, number: int) -> dict[str, Any]:
        from apps.ingest.web import get

        plain = self._url + f"/schemas/ids/{number}"
        try:
            status, body = get(plain, self._around, limit=ANSWER_MAX, timeout=TIMEOUT_S)
            said = _object(body)
            if status == 200 and said.get("schemaType") == "PROTOBUF":
                # As a compiled descriptor: the text would need a compiler.
                _, body = get(f"{plain}?format={quote('serialized')}", self._around,
                              limit=ANSWER_MAX, timeout=TIMEOUT_S)  # fmt: skip
                said = _object(body)
        except Refused as refused:
            raise Unreachable(f"The schema registry is not to be reached: {refused}") from None
        if status == 404:
            raise Invalid("unknown_schema", f"the registry has no schema {number}")
        if status != 200 or "schema" not in said:
            raise Unreachable(f"The schema registry answers {status} for schema {number}.")
        return said


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


class _Avro:
    def __init__(self, schema: str, fetch: Fetch | None) -> None:
        self._fetch, self._own, self._parsed = fetch, None, {}  # type: ignore[var-annotated]
        if schema:
            try:
                self._own = _parsed_avro(schema)
            except Exception as error:  # the library raises many kinds
                raise BadSettings(f"schema: it is no Avro schema: {error}") from None

    def __call__(self, body: bytes) -> tuple[Any, dict[str, Any]]:
        import fastavro

        schema, facts, rest = self._own, {}, body
        if self._fetch is not None and body[:1] == b"\0" and len(body) >= 5:
            number = int.from_bytes(body[1:5])
            schema, facts, rest = self._known(number), {"schema": number}, body[5:]
        if schema is None:
            raise Invalid("no_schema", "it is not in Confluent's wire format, and no schema is set")
        source = io.BytesIO(rest)
        try:
            value = fastavro.schemaless_reader(source, schema, None)
        except TapError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise Invalid("bad_avro", f"the schema does not fit: {kind}: {error}") from None
        if source.read(1):
            raise Invalid("bad_avro", "the schema does not fit: more bytes follow")
        return value, facts

    def _known(self, number: int) -> Any:
        assert self._fetch is not None
        if number not in self._parsed:
            try:
                self._parsed[number] = _parsed_avro(self._fetch(number)["schema"])
            except (Invalid, TapError):
                raise
            except Exception as error:
                raise Invalid("bad_schema", f"schema {number} is no Avro schema: {error}") from None
        return self._parsed[number]


def _parsed_avro(text: str) -> Any:
    import fastavro

    return fastavro.parse_schema(msgspec.json.decode(text))


class _Protobuf:
    def __init__(self, schema: str, message: str, fetch: Fetch | None) -> None:
        self._message, self._fetch, self._own = message, fetch, None
        self._files: dict[int, Any] = {}
        if schema:
            self._own = _descriptor_set(schema)
            if not message:
                raise BadSettings("message is missing; the schema may hold several")
            if message not in self._names():
                raise BadSettings(f"message: the schema holds {', '.join(self._names()) or 'none'}")

    def _names(self) -> list[str]:
        files = self._own.file if self._own else []
        return [f"{f.package}.{m.name}".lstrip(".") for f in files for m in f.message_type]

    def __call__(self, body: bytes) -> tuple[Any, dict[str, Any]]:
        if self._fetch is not None and body[:1] == b"\0" and len(body) > 5:
            number = int.from_bytes(body[1:5])
            path, at = _path(body, 5)
            made = self._known(number)
            name = _named(made, path)
            return _message(_pool([made]), name, body[at:]), {"schema": number, "message": name}
        if self._own is None:
            raise Invalid("no_schema", "it is not in Confluent's wire format, and no schema is set")
        return _message(_pool(self._own.file), self._message, body), {"message": self._message}

    def _known(self, number: int) -> Any:
        assert self._fetch is not None
        if number not in self._files:
            from google.protobuf import descriptor_pb2

            try:
                raw = base64.b64decode(self._fetch(number)["schema"], validate=True)
                self._files[number] = descriptor_pb2.FileDescriptorProto.FromString(raw)
            except ValueError:
                raise Invalid("bad_schema", f"schema {number} is no Protobuf file") from None
            except Exception as error:
                if isinstance(error, Invalid | TapError):
                    raise
                raise Invalid("bad_schema", f"schema {number} is no Protobuf file") from None
        return self._files[number]


def _descriptor_set(text: str) -> Any:
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError

    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
        return descriptor_pb2.FileDescriptorSet.FromString(raw)
    except (ValueError, DecodeError):
        raise BadSettings(
            "schema: expected a descriptor set in base64, as protoc --descriptor_set_out makes it"
        ) from None


def _pool(files: Any) -> Any:
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files:
            pool.Add(file)
    except TypeError as error:
        raise Invalid("bad_schema", f"the schema is incomplete: {error}") from None
    return pool


def _message(pool: Any, name: str, body: bytes) -> Any:
    from google.protobuf import json_format, message_factory
    from google.protobuf.message import DecodeError

    try:
        made = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        value = made.FromString(body)
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    except KeyError:
        raise Invalid("bad_schema", f"the schema has no message {name}") from None
    except (DecodeError, json_format.Error, TypeError) as error:
        raise Invalid("bad_protobuf", f"the schema does not fit: {error}") from None


def _path(body: bytes, at: int) -> tuple[list[int], int]:
    """Return the indexes of the message in its file, and where the value begins."""
    count, at = _zigzag(body, at)
    if not count:
        return [0], at
    if not 0 < count <= 16:
        raise Invalid("bad_protobuf", "the wire format's path is no path")
    path = []
    for _ in range(count):
        index, at = _zigzag(body, at)
        path.append(index)
    return path, at


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    shift = value = 0
    while at < len(body) and shift < 35:
        byte = body[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value >> 1 ^ -(value & 1), at
    raise Invalid("bad_protobuf", "the wire format's path is no path")


def _named(file: Any, path: list[int]) -> str:
    try:
        message = file.message_type[path[0]]
        names = [message.name]
        for index in path[1:]:
            message = message.nested_type[index]
            names.append(message.name)
    except IndexError:
        raise Invalid("bad_protobuf", "the schema has no message at the path given") from None
    return ".".join([file.package, *names] if file.package else names)
