"""Avro and Protobuf, with a schema and with a registry."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import fastavro
import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from apps.ingest import schemas
from apps.ingest.connector import BadSettings, Refused, Surroundings, Unreachable
from apps.ingest.problems import Invalid

FIELDS = [{"name": "order", "type": "string"}, {"name": "cents", "type": "long"}]
AVRO = {"type": "record", "name": "Paid", "fields": FIELDS}
VALUE = {"order": "o-1", "cents": 1250}
AROUND = Surroundings(name="t", reach=lambda host, port: ["127.0.0.1"])


def avro() -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(AVRO), VALUE)
    return out.getvalue()


def proto_file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="paid.proto", package="shop", syntax="proto3")
    for name in ("Other", "Paid"):
        message = file.message_type.add(name=name)
        field = descriptor_pb2.FieldDescriptorProto
        message.field.add(name="order", number=1, type=field.TYPE_STRING, label=1)
        message.field.add(name="cents", number=2, type=field.TYPE_INT32, label=1)
    return file


def proto() -> bytes:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto_file())
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Paid"))
    return bytes(made(**VALUE).SerializeToString())


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        known = {
            "/schemas/ids/1": {"schema": json.dumps(AVRO)},
            "/schemas/ids/2": {"schemaType": "PROTOBUF", "schema": "text"},
            "/schemas/ids/2?format=serialized": {
                "schema": base64.b64encode(proto_file().SerializeToString()).decode()
            },
            "/schemas/ids/3": {"schema": "{"},
        }
        body = json.dumps(known.get(self.path, {"error_code": 40403})).encode()
        self.send_response(200 if self.path in known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def registry() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def reader(codec: str, **settings: str) -> Any:
    return schemas.reader(codec, settings, AROUND)


def wire(number: int, rest: bytes) -> bytes:
    return b"\0" + number.to_bytes(4) + rest


def test_avro_with_a_schema() -> None:
    value, _ = reader("avro", schema=json.dumps(AVRO))(avro())
    assert value == VALUE


def test_protobuf_with_a_descriptor() -> None:
    files = descriptor_pb2.FileDescriptorSet(file=[proto_file()])
    text = base64.b64encode(files.SerializeToString()).decode()
    value, _ = reader("protobuf", schema=text, message="shop.Paid")(proto())
    assert value == VALUE


def test_a_registry_is_asked_once_for_each_schema(registry: Any) -> None:
    url = f"http://localhost:{registry.server_port}"
    registry.asked.clear()
    read = reader("avro", registry=url)
    assert [read(wire(1, avro())) for _ in range(3)] == [(VALUE, {"schema": 1})] * 3
    assert registry.asked == ["/schemas/ids/1"]
    proto_read = reader("protobuf", registry=url)
    path = bytes([2, 2])  # one index, 1, as zigzag varints
    assert proto_read(wire(2, path + proto())) == (VALUE, {"schema": 2, "message": "shop.Paid"})


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        ("avro", wire(9, b"")),
        ("avro", wire(3, b"")),
        ("avro", wire(1, b"\x02")),
        ("avro", wire(1, avro() + b"!")),
        ("avro", b"{}"),
        ("protobuf", wire(2, bytes([0]) + b"\xff\xff")),
        ("protobuf", wire(2, bytes([2, 40]) + proto())),
        ("protobuf", wire(2, b"\xff" * 8)),
        ("protobuf", wire(1, bytes([0]) + proto())),
    ],
)
def test_what_does_not_fit_is_the_records_trouble(registry: Any, codec: str, body: bytes) -> None:
    read = reader(codec, registry=f"http://localhost:{registry.server_port}")
    with pytest.raises(Invalid):
        read(body)


def test_a_registry_that_is_away_is_waited_for() -> None:
    with pytest.raises(Unreachable):
        reader("avro", registry="http://localhost:1")(wire(1, avro()))


def test_the_guard_counts_for_registries_too() -> None:
    def no(host: str, port: int) -> list[str]:
        raise Refused(f"{host} is not to be reached")

    read = schemas.reader("avro", {"registry": "http://metadata"}, Surroundings("t", no))
    assert read is not None
    with pytest.raises(Unreachable, match="not to be reached"):
        read(wire(1, avro()))


@pytest.mark.parametrize(
    "settings",
    [{}, {"schema": "{"}, {"schema": '{"type":"nonsense"}'}, {"registry": "ftp://x"}],
)
def test_settings_that_cannot_work(settings: dict[str, str]) -> None:
    with pytest.raises(BadSettings):
        reader("avro", **settings)
    with pytest.raises(BadSettings):
        reader("protobuf", schema="!", message="x")


def test_whatever_the_bytes_the_answer_is_a_value_or_a_problem() -> None:
    import random

    read = reader("avro", schema=json.dumps(AVRO))
    rng = random.Random(7)
    for _ in range(2000):
        try:
            msgspec.json.encode(read(rng.randbytes(rng.randrange(40)))[0])
        except Invalid:
            continue
