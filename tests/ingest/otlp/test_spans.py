"""What each span is to the log, by the names of messaging, old and new."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.eventlog.envelope import Envelope
from apps.ingest.otlp import semconv, spans, wire
from apps.ingest.problems import Problem
from tests.ingest.otlp.making import NOON, as_json, context, request, span

NEW: dict[str, Any] = {"messaging__system": "kafka", "messaging__destination__name": "orders"}
OLD: dict[str, Any] = {"messaging__system": "kafka", "messaging__destination": "orders"}


def made(*each: dict[str, Any], by: str = "web") -> list[Envelope]:
    found, problems = spans.records(
        wire.spans(as_json(request((by, list(each)))), wire.JSON), largest=100_000
    )
    assert problems == []
    return found


def one(*each: dict[str, Any], by: str = "web") -> Envelope:
    (found,) = made(*each, by=by)
    return found


def told(envelope: Envelope) -> dict[str, Any]:
    return dict(json.loads(envelope.data))


def test_what_is_sent_is_an_event() -> None:
    event = one(span(1, 2, "producer", parent=7, **NEW, messaging__operation__type="send",
                     messaging__destination__partition__id="3", messaging__kafka__offset=41,
                     messaging__kafka__message__key="k"))  # fmt: skip
    assert event == Envelope(
        type="orders", id=context(1, 2), source="web", time=NOON // 1000, channel="orders",
        causation=context(1, 7), partition="3", offset="41", key="k", tap="otlp",
        data=event.data, metadata=b'{"host.name":"h1","otel.scope":"by-hand 1"}',
    )  # fmt: skip
    assert told(event)["attributes"]["messaging.kafka.offset"] == 41


@pytest.mark.parametrize(("attributes", "type_"), [
    (NEW, "orders"), (OLD, "orders"), ({}, "orders send"),
    (NEW | {"cloudevents__event_type": "shop.ordered"}, "shop.ordered"),
    (NEW | {"celery__task_name": "tasks.charge"}, "tasks.charge"),
    (NEW | {"messaging__destination__template": "orders-{n}"}, "orders-{n}"),
])  # fmt: skip
def test_an_event_is_named_after_the_best_that_is_there(
    attributes: dict[str, Any], type_: str
) -> None:
    assert one(span(1, 2, "producer", "orders send", **attributes)).type == type_


@pytest.mark.parametrize(("kind", "attributes", "outcome"), [
    ("consumer", NEW | {"messaging__operation__type": "process"}, "handled"),
    ("consumer", OLD | {"messaging__operation": "process"}, "handled"),
    ("consumer", OLD, "handled"),
    ("client", NEW | {"messaging__operation__type": "receive"}, "received"),
    ("client", NEW | {"messaging__operation__name": "poll"}, "received"),
    ("consumer", OLD | {"messaging__operation": "receive"}, "received"),
    ("client", NEW | {"messaging__operation__type": "settle"}, "handled"),
    ("client", NEW | {"messaging__operation__type": "settle",
                      "messaging__operation__name": "nack"}, "failed"),
    ("client", NEW | {"messaging__operation__type": "settle",
                      "messaging__servicebus__disposition_status": "dead_letter"}, "dead_lettered"),
    ("consumer", NEW | {"error__type": "Timeout"}, "failed"),
    ("consumer", {"celery__state": "RETRY"}, "failed"),
])  # fmt: skip
def test_what_is_received_processed_or_settled_is_a_delivery(
    kind: str, attributes: dict[str, Any], outcome: str
) -> None:
    report = one(span(2, 5, kind, links=[(1, 2)], **attributes), by="bank")
    assert (report.kind, report.type, report.source, report.causation) == (
        "delivery", outcome, "bank", context(1, 2),
    )  # fmt: skip
    acked = attributes.get("messaging__operation__type") == "settle"
    assert told(report)["evidence"] == ("acked" if acked else "span")


def test_a_delivery_without_links_is_of_its_parent() -> None:
    report = one(span(1, 5, "consumer", parent=2, **OLD))
    assert (report.id, report.causation) == (context(1, 5), context(1, 2))


def test_a_delivery_with_neither_is_of_the_event_it_names() -> None:
    report = one(span(1, 5, "consumer", cloudevents__event_id="e1", cloudevents__event_source="/a"))
    assert (report.causation, report.causation_source) == ("e1", "/a")
    assert one(span(1, 5, "consumer", messaging__message_id="m1")).causation == "m1"


def test_a_delivery_of_nothing_that_is_named_is_a_detail() -> None:
    assert one(span(1, 5, "client", "poll", **NEW, messaging__operation__type="receive")).kind == (
        "span"
    )


def test_a_batch_is_a_delivery_of_each_message_with_what_its_link_says() -> None:
    batch = made(span(
        2, 5, "consumer", links=[
            (1, 2, {"messaging.message.id": "a", "messaging.destination.partition.id": "0"}),
            (1, 3, {"messaging.message.id": "b", "messaging.destination.partition.id": "1"}),
        ], **NEW, messaging__batch__message_count=2,
    ), by="bank")  # fmt: skip
    assert [(e.id, e.causation, e.partition, e.channel) for e in batch] == [
        (context(2, 5), context(1, 2), "0", "orders"),
        (context(2, 5) + "#2", context(1, 3), "1", "orders"),
    ]
    assert {told(e)["joined"] for e in batch} == {context(2, 5)}
    assert told(batch[1])["message"]["messaging.message.id"] == "b"


def test_other_spans_are_details_of_what_they_are_part_of() -> None:
    detail = one(span(2, 6, "client", "SELECT", parent=5, db__system="postgresql"))
    assert (detail.kind, detail.type, detail.causation) == ("span", "SELECT", context(2, 5))


def test_a_producer_with_links_has_several_causes() -> None:
    first, second, event = made(span(2, 6, "producer", parent=5, links=[(1, 2)], **NEW))
    assert [(e.kind, e.type, e.causation) for e in (first, second)] == [
        ("span", "link", context(2, 5)), ("span", "link", context(1, 2)),
    ]  # fmt: skip
    assert event.causation == first.id
    assert told(first) == told(second) == {"joined": context(2, 6)}


def test_sending_what_was_created_before_is_no_event_of_its_own() -> None:
    created = span(1, 2, "producer", messaging__operation__type="create")
    sent = span(1, 3, "client", "send", messaging__operation__type="send", links=[(1, 2)])
    assert [e.kind for e in made(created, sent)] == ["event", "span"]


def test_the_exception_is_the_error() -> None:
    failed = span(2, 5, "consumer", links=[(1, 2)], error="boom")
    assert told(one(failed))["error"] == "boom"
    failed["events"] = [{"name": "exception", "timeUnixNano": str(NOON), "attributes": [
        {"key": "exception.type", "value": {"stringValue": "ValueError"}},
        {"key": "exception.message", "value": {"stringValue": "no stock"}},
    ]}]  # fmt: skip
    assert told(one(failed))["error"] == "ValueError: no stock"


@pytest.mark.parametrize(("attributes", "attempt"), [
    ({"messaging__servicebus__message__delivery_count": 3}, 3), ({"celery__retries": 1}, 2),
    ({"celery__retries": "many"}, 1), ({}, 1),
])  # fmt: skip
def test_attempts_are_counted_where_they_are_told(attributes: dict[str, Any], attempt: int) -> None:
    assert told(one(span(2, 5, "consumer", links=[(1, 2)], **attributes)))["attempt"] == attempt


def test_causes_come_before_effects() -> None:
    found = made(span(1, 3, "consumer", parent=2, at=9), span(1, 2, "producer", at=1))
    assert [e.kind for e in found] == ["event", "delivery"]


def test_who_has_no_name_is_its_group() -> None:
    attributes: dict[str, Any] = {"messaging__kafka__consumer__group": "billing"}
    assert one(span(2, 5, "consumer", links=[(1, 2)], **attributes), by="").source == "billing"


@pytest.mark.parametrize(("change", "code"), [
    ({"traceId": ""}, "bad_span_id"), ({"spanId": "0" * 16}, "bad_span_id"),
    ({"traceId": "x" * 32}, "bad_span_id"), ({"startTimeUnixNano": "-1"}, "bad_time"),
])  # fmt: skip
def test_a_span_that_cannot_be_is_a_problem_and_spoils_no_other(
    change: dict[str, Any], code: str
) -> None:
    body = as_json(request(("web", [span(1, 2, "producer") | change, span(1, 3, "producer")])))
    found, problems = spans.records(wire.spans(body, wire.JSON), largest=100_000)
    assert [e.id for e in found] == [context(1, 3)]
    assert [(p.index, p.code) for p in problems] == [(0, code)]


def test_a_span_that_is_too_big_is_a_problem() -> None:
    body = as_json(request(("web", [span(1, 2, "producer", a="x" * 5000)])))
    found, problems = spans.records(wire.spans(body, wire.JSON), largest=1000)
    assert (found, [type(p) for p in problems]) == ([], [Problem])


def test_names_are_cut_to_what_the_log_holds() -> None:
    event = one(span(1, 2, "producer", messaging__destination__name="é" * 2000 + "\0"))
    assert len(event.type.encode()) <= 1024
    assert "\0" not in one(span(1, 2, "internal", "a\0b")).type


@pytest.mark.parametrize("old", semconv.RENAMED)
def test_todays_name_wins_over_an_older_one(old: str) -> None:
    now = semconv.RENAMED[old]
    assert semconv.normal({old: "old"}) == {now: "old"}
    assert semconv.normal({now: "new", old: "old"}) == {now: "new"}
    assert semconv.normal({old: "old", now: "new"}) == {now: "new"}
