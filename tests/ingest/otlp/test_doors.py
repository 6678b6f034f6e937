"""POST /v1/traces at a running server: both forms, sent twice, compressed, and what is refused."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.ingest.asking import post
from tests.ingest.otlp.making import as_json, as_protobuf, span
from tests.ingest.otlp.making import request as export
from tests.running import Evdebug, System

TRACES, PROTOBUF, JSON = "/v1/traces", "application/x-protobuf", "application/json"
MADE = export(
    ("web", [span(1, 2, "producer", messaging__destination__name="orders")]),
    ("bank", [span(2, 5, "consumer", links=[(1, 2)], at=5),
              span(2, 6, "client", "SELECT", parent=5, at=6)]),
)  # fmt: skip


@pytest.fixture
def system(server: Evdebug, request: pytest.FixtureRequest) -> System:
    """A system of the test's own."""
    return server.system(request.node.name.removeprefix("test_").replace("_", "-"))


def test_spans_are_stored_once_in_either_form(system: System) -> None:
    key, server = system.ingest_key, system.server
    first = post(server, TRACES, as_protobuf(MADE), key=key, content_type=PROTOBUF)
    assert (first.status, first.body) == (200, b"")
    assert first.headers["content-type"] == PROTOBUF
    again = post(server, TRACES, as_json(MADE), key=key)
    assert (again.status, again.json) == (200, {})
    packed = post(
        server, TRACES, gzip.compress(as_json(MADE)), key=key,
        headers=(("Content-Encoding", "gzip"),),
    )  # fmt: skip
    assert packed.status == 200

    status, head = system.get("head")
    assert (status, head["position"]) == (200, 3)
    status, trace = system.get(f"traces/{1:032x}")
    assert status == 200
    (told,) = trace["deliveries"]
    assert (told["subscriber"], told["outcome"], told["evidence"]) == ("bank", "handled", "span")
    assert [(s["name"], s["event"]) for s in trace["spans"]] == [("SELECT", 1)]


def test_a_bad_span_is_told_and_the_others_are_stored(system: System) -> None:
    made = export(("odd", [span(9, 1, "producer") | {"traceId": "no"}, span(9, 2, "producer")]))
    answer = post(system.server, TRACES, as_json(made), key=system.ingest_key)
    assert answer.status == 200
    assert answer.json["partialSuccess"]["rejectedSpans"] == 1
    assert system.get(f"traces/{9:032x}")[1]["events"][0]["source"] == "odd"


def test_what_is_refused(system: System) -> None:
    key, server = system.ingest_key, system.server
    assert post(server, TRACES, b"{}", key="evk_no").status == 401
    assert post(server, TRACES, b"{}", key=key, content_type="text/plain").status == 415
    assert post(server, TRACES, b"{", key=key).code == "invalid_json"
    broken = post(server, TRACES, b"\xff\xff", key=key, content_type=PROTOBUF)
    assert (broken.status, broken.headers["content-type"]) == (400, PROTOBUF)
    assert post(server, TRACES, b"", key=key, method="GET").status == 405
    assert post(server, TRACES, json.dumps({}).encode(), key=key).status == 200
