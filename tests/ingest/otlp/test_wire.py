"""Both forms of OTLP say the same; what is neither is refused, whatever it is."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from apps.ingest.answers import Report
from apps.ingest.otlp import answers, spans, wire
from apps.ingest.problems import Problem, Refused
from tests.ingest.otlp.making import as_json, as_protobuf, pairs, request, span

VALUES = st.recursive(
    st.text(max_size=5) | st.booleans() | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), st.integers(1, 5))
def test_json_and_protobuf_are_the_same(attributes: dict[str, Any], kind: int) -> None:
    each = span(1, 2, "producer", parent=3, links=[(4, 5, {"a": 1})], error="x")
    each["kind"] = kind
    each["attributes"] = pairs(attributes)
    made = request(("web", [each, span(1, 9, "internal")]), ("bank", [span(2, 5, "consumer")]))
    of_json = wire.spans(as_json(made), wire.JSON)
    assert of_json == wire.spans(as_protobuf(made), wire.PROTOBUF)
    assert of_json[0].attributes == attributes


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_and_never_breaks(body: bytes) -> None:
    for form in (wire.JSON, wire.PROTOBUF):
        with suppress(Refused):
            spans.records(wire.spans(body, form), largest=1000)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b'{"resourceSpans":1}', b'{"resourceSpans":[{"scopeSpans":{}}]}', b"\xff",
    b'{"resourceSpans":[{"resource":{"attributes":' + b'[{"key":"a","value":{"arrayValue":'
    b'{"values":' * 5000,
    as_json(request(("a", [span(1, 2, "producer") | {"startTimeUnixNano": "soon"}]))),
])  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        wire.spans(body, wire.JSON)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")


def test_names_of_kinds_and_numbers_as_numbers_are_read_too() -> None:
    each = span(1, 2, "producer") | {"kind": "SPAN_KIND_CONSUMER", "startTimeUnixNano": 5}
    (found,) = wire.spans(as_json(request(("a", [each]))), wire.JSON)
    assert (found.kind, found.start) == (5, 5)


def test_a_service_without_a_name_is_unknown() -> None:
    (found,) = wire.spans(as_json({"resourceSpans": [
        {"scopeSpans": [{"spans": [span(1, 2, "producer")]}]}]}), wire.JSON)  # fmt: skip
    assert found.origin == wire.Origin("unknown_service", b"")


def test_answers_come_in_the_form_of_the_question() -> None:
    report = Report(stored=2, rejected=200, problems=[Problem(3, "bad", "no")])
    status, headers, body = answers.Form(wire.PROTOBUF).good(report)
    read = ExportTraceServiceResponse.FromString(body)
    assert (status, headers) == (200, [(b"content-type", b"application/x-protobuf")])
    assert read.partial_success.rejected_spans == 200
    assert read.partial_success.error_message == "span 3: no; and 199 more"
    assert json.loads(answers.Form(wire.JSON).good(report)[2])["partialSuccess"] == {
        "rejectedSpans": 200, "errorMessage": "span 3: no; and 199 more",
    }  # fmt: skip
    assert answers.Form(wire.PROTOBUF).good(Report())[2] == b""
    assert answers.Form(wire.PROTOBUF).bad(Refused(429, "c", "later", retry_after=3)) == (
        429, [(b"content-type", b"application/x-protobuf"), (b"retry-after", b"3")],
        b"\x12\x05later",
    )  # fmt: skip


def test_what_would_be_too_much_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = request(("web", [span(1, n, "producer") for n in range(1, 5)]))
    monkeypatch.setattr(wire, "MOST", 3)
    with pytest.raises(Refused) as refused:
        wire.spans(as_protobuf(made), wire.PROTOBUF)
    assert (refused.value.status, refused.value.code) == (413, "too_many_events")
    monkeypatch.setattr(wire, "OBJECTS", 3)
    with pytest.raises(Refused):
        wire.spans(as_json(made), wire.JSON)
    monkeypatch.undo()
    monkeypatch.setattr(spans, "MOST", 3)
    with pytest.raises(Refused):
        spans.records(wire.spans(as_json(made), wire.JSON), largest=1000)
