"""From a bus's record to an envelope, in the many ways producers write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from apps.eventlog.envelope import Envelope
from apps.ingest import picks, records, redact
from apps.ingest.connector import Record
from apps.ingest.records import Form, Taken, take

TRACE = "0af7651916cd43dd8448eb211c80319c"
FORM = Form("tap")


def taken(body: bytes | None, form: Form = FORM, **fields: Any) -> Taken:
    place = {"channel": "orders", "partition": "3", "offset": "42", "key": "order-1"}
    return take(Record(body=body, **(place | fields)), form)


def event(body: bytes | None, form: Form = FORM, **fields: Any) -> Envelope:
    found = taken(body, form, **fields)
    assert found.envelope is not None, found.reject
    return found.envelope


def mapped(**texts: str) -> Form:
    return replace(FORM, mapping={name: picks.parse(text) for name, text in texts.items()})


def test_it_works() -> None:
    made = event(b'{"total":1}', time=5)
    assert made == Envelope(
        type="orders", id="tap:orders/3/42", source="/orders", stream="order-1", time=5,
        channel="orders", partition="3", offset="42", key="order-1", tap="tap",
        data=b'{"total":1}',
    )  # fmt: skip


CLOUD = (
    b'{"specversion":"1.0","id":"1","source":"/web","type":"Paid","subject":"o-1","data":{"a":1}}'
)
CE = {"id": b"1", "source": b"/web", "type": b"Paid", "specversion": b"1.0", "subject": b"o-1"}


@pytest.mark.parametrize("prefix", ["", "ce_", "ce-", "cloudEvents:", "cloudEvents_", "CE-"])
def test_cloudevents_in_every_binding(prefix: str) -> None:
    """Structured, or binary with the headers of Kafka, HTTP and NATS, and AMQP."""
    if prefix:
        headers = tuple((prefix + name, value) for name, value in CE.items())
        made = event(b'{"a":1}', headers=headers)
    else:
        made = event(CLOUD)
    assert (made.id, made.source, made.type, made.stream) == ("1", "/web", "Paid", "o-1")
    assert (made.data, made.channel, made.offset) == (b'{"a":1}', "orders", "42")


@pytest.mark.parametrize(
    ("dialect", "body", "headers", "expected"),
    [
        ("masstransit",
         b'{"messageId":"m","conversationId":"c","initiatorId":"i","messageType":["urn:Paid"],'
         b'"sourceAddress":"rabbitmq://web","message":{"n":1}}', {},
         ("m", "urn:Paid", "c", "i")),
        ("nservicebus", b"{}",
         {"NServiceBus.MessageId": "m", "NServiceBus.EnclosedMessageTypes": "Paid",
          "NServiceBus.ConversationId": "c", "NServiceBus.RelatedTo": "r",
          "NServiceBus.CorrelationId": "not-this"},
         ("m", "Paid", "c", "r")),
        ("axon4", b"{}",
         {"axon-message-id": "m", "axon-message-type": "Paid", "axon-metadata-traceId": "t",
          "axon-metadata-correlationId": "cause"},
         ("m", "Paid", "t", "cause")),
        ("axon5", b"{}",
         {"axon-message-id": "m", "axon-message-type": "Paid",
          "axon-metadata-correlationId": "c", "axon-metadata-causationId": "cause"},
         ("m", "Paid", "c", "cause")),
        ("celery", b"[[],{},{}]",
         {"id": "m", "task": "pay", "root_id": "r", "parent_id": "p", "lang": "py"},
         ("m", "pay", "r", "p")),
        ("kurrentdb", b'{"eventId":"m","eventType":"Paid","data":{},'
         b'"metadata":{"$correlationId":"c","$causationId":"x"}}', {},
         ("m", "Paid", "c", "x")),
        ("rails_event_store", b'{"event_id":"m","event_type":"Paid","data":{},'
         b'"metadata":{"correlation_id":"c","causation_id":"x"}}', {},
         ("m", "Paid", "c", "x")),
        ("outbox", b'{"id":"m","aggregatetype":"order","aggregateid":"1","type":"Paid",'
         b'"payload":{"n":1},"correlation_id":"c"}', {},
         ("m", "Paid", "c", "")),
        ("plain", b'{"event_type":"Paid","correlation_id":"c","causation_id":"x","event_id":"m"}',
         {}, ("m", "Paid", "c", "x")),
        ("plain", b"{}", {"event-type": "Paid", "x-correlation-id": "c", "message-id": "m",
                          "causation-id": "x"}, ("m", "Paid", "c", "x")),
    ],
)  # fmt: skip
def test_the_same_word_means_different_things(
    dialect: str, body: bytes, headers: dict[str, str], expected: tuple[str, ...]
) -> None:
    pairs = tuple((name, value.encode()) for name, value in headers.items())
    found = taken(body, headers=pairs)
    assert found.dialect == dialect
    made = found.envelope
    assert made is not None
    assert (made.id, made.type, made.correlation, made.causation) == expected


def test_debezium_rows_are_events_of_their_table() -> None:
    body = b'{"op":"u","before":{"a":1},"after":{"a":2},"source":{"table":"orders","name":"db"}}'
    made = event(body)
    assert (made.type, made.source) == ("orders.u", "db")
    assert msgspec.json.decode(made.data)["after"] == {"a": 2}


def test_a_bare_id_is_not_the_events() -> None:
    """It is nearly always that of an order; two events of one order are no duplicates."""
    assert event(b'{"id":"order-1","type":"Paid"}').id == "tap:orders/3/42"


def test_headers_stay_and_a_traceparent_correlates() -> None:
    headers = (
        ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()),
        ("x", b"1"), ("x", b"2"), ("raw", b"\xff"),
    )  # fmt: skip
    made = event(b"{}", headers=headers, facts={"redelivered": True})
    assert made.correlation == TRACE
    kept = msgspec.json.decode(made.metadata)
    assert (kept["x"], kept["raw"], kept["redelivered"]) == (["1", "2"], {"base64": "/w=="}, True)


def test_a_mapping_wins_part_by_part() -> None:
    form = mapped(type='"order." + kind', correlation="headers.cid ?? order", time="ts as unix s")
    made = event(b'{"kind":"paid","order":"o-1","ts":1700000000}', form)
    assert (made.type, made.correlation, made.time) == ("order.paid", "o-1", 1_700_000_000_000_000)
    over = event(CLOUD, mapped(stream="data.data.a"))
    assert (over.type, over.stream, over.id) == ("Paid", "1", "1")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"hello", "text/plain"), (b"", "text/plain"), (b"5", "text/plain"), (None, "text/plain")],
)
def test_text_is_an_event_too(body: bytes | None, content_type: str) -> None:
    made = event(body)
    assert (made.data, made.content_type) == (body or b"", content_type)
    assert (b"tombstone" in made.metadata) is (body is None)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"a":', "invalid_json", "too early"),
        (b"\x81\xa1a\x01", "not_text", "codec msgpack"),
        (b"\xff\xfe\x00", "not_text", "set the codec"),
        (b"\x00\x00\x00\x00\x07abc", "schema_needed", "schema 7"),
        (b'{"specversion":"1.0","id":"","source":"/s","type":"T"}', "missing_id", "id"),
        (b'{"a":' * 2000, "invalid_json", ""),
    ],
)
def test_what_is_no_event_is_kept_with_the_reason(body: bytes, code: str, said: str) -> None:
    reject = taken(body).reject
    assert reject is not None
    assert (reject.code, reject.data, reject.size) == (code, body, len(body))
    assert said in reject.detail


@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_record_has_a_largest_size(size: int) -> None:
    form = replace(FORM, limits=replace(FORM.limits, event=100))
    found = taken(b"x" * size, form)
    assert (found.reject is not None) is (size > 100)


def test_other_codecs_become_json() -> None:
    packed = msgspec.msgpack.encode({"a": [1, b"\x00"], "b": None})
    made = event(packed, replace(FORM, codec="msgpack"))
    assert made.data == b'{"a":[1,"AA=="],"b":null}'
    assert msgspec.json.decode(made.metadata) == {"codec": "msgpack", "size": len(packed)}
    import cbor2

    made = event(cbor2.dumps({"a": 1}), replace(FORM, codec="cbor"))
    assert made.data == b'{"a":1}'
    assert taken(b"\xff", replace(FORM, codec="cbor")).reject is not None
    assert taken(packed + b"\x00", replace(FORM, codec="msgpack")).reject is not None


def redacting(rules: str, **fields: Any) -> Form:
    return replace(FORM, redactor=redact.Redactor(redact.parse(rules), b"k" * 32), **fields)


@pytest.mark.parametrize(
    ("rules", "body", "expected"),
    [
        ("mask data.card", b'{"card":"4111"}', b'{"card":"***"}'),
        ("mask card.number", b'{"card":{"number":1,"x":2}}', b'{"card":{"number":"***","x":2}}'),
        ("mask items.*.ssn", b'{"items":[{"ssn":1},{"ssn":2}]}',
         b'{"items":[{"ssn":"***"},{"ssn":"***"}]}'),
        ("mask **.password", b'{"a":[{"password":{"x":1}}]}', b'{"a":[{"password":"***"}]}'),
        ("mask ~email", b'{"t":"to a@b.de now","a@b.de":1}', b'{"t":"to *** now","***":1}'),
        ("mask ~card", b'{"n":4111111111111111}', b'{"n":"***"}'),
        ("mask ~/s-\\d+/", b'{"n":"s-12"}', b'{"n":"***"}'),
        ("mask ~/s-\\d+/", b'{"n":"\\u0073-12"}', b'{"n":"***"}'),
        ("mask ~/secret/", b'{"n":"c2VjcmV0IHdvcmRzIQ=="}', b'{"n":"***"}'),
        ("mask ~/secret/", b"a secret text", b"a *** text"),
        ("mask data.other", b'{"a": 1.0}', b'{"a": 1.0}'),
    ],
)  # fmt: skip
def test_redaction(rules: str, body: bytes, expected: bytes) -> None:
    assert event(body, redacting(rules)).data == expected


def test_hashes_compare_within_a_system_and_tell_nothing() -> None:
    one, two = (event(b'{"e":"a@b.de"}', redacting("hash data.e")).data for _ in range(2))
    assert one == two
    assert b"a@b" not in one
    other = replace(FORM, redactor=redact.Redactor(redact.parse("hash data.e"), b"x" * 32))
    assert event(b'{"e":"a@b.de"}', other).data != one


def test_redaction_reaches_headers_keys_names_and_errors() -> None:
    form = redacting("mask headers.authorization; mask key; mask ~/canary/")
    made = event(
        b"{}", form, key="k-secret", channel="canary-topic",
        headers=(("Authorization", b"Bearer x"), ("note", b"canary")), facts={"app": "canary"},
    )  # fmt: skip
    assert b"canary" not in msgspec.msgpack.encode(made)
    assert b"Bearer" not in made.metadata
    assert "secret" not in made.key + made.stream
    reject = taken(b'{"x":"canary', form).reject
    assert reject is not None
    assert b"canary" not in reject.data
    assert "canary" not in reject.detail


def test_what_cannot_be_searched_is_not_kept() -> None:
    reject = taken(b'{"card":4111', redacting("mask data.card")).reject
    assert reject is not None
    assert (reject.code, reject.data) == ("not_redactable", redact.WITHHELD)
    text = taken(b"plain 4111", redacting("mask data.card")).reject
    assert text is not None
    assert (text.code, text.data) == ("not_redactable", redact.WITHHELD)


@pytest.mark.parametrize("rules", ["burn x", "mask", "mask a..b", "mask ~nothing", "mask ~/(/",
                                   "mask ~/x*/", "\n".join(["mask a"] * 101)])  # fmt: skip
def test_rules_that_make_no_sense_are_refused(rules: str) -> None:
    with pytest.raises(redact.BadRule):
        redact.parse(rules)


@pytest.mark.timeout(20)
def test_no_pattern_takes_for_ever() -> None:
    event(b'{"x":"%s!"}' % (b"a" * 50_000), redacting("mask ~/(a+)+$/"))


EVENT = b'{"specversion":"1.0","id":"e","source":"/s","type":"t","data":{"a":1}}'
TRACED = EVENT.replace(b'"id"', b'"traceparent":"00-%s-%s-01","id"' % (b"a" * 32, b"b" * 16))


@pytest.mark.parametrize("body", [EVENT, TRACED])
@pytest.mark.parametrize("content_type", ["", "application/json", "application/cloudevents+json"])
@pytest.mark.parametrize(
    "more",
    [
        {"facts": {"qos": 1}},
        {"facts": {"redelivered": True, "routed_queues": ["a", "b"]}, "epoch": "2"},
        {"headers": (("id", b"7"), ("kind", b"Paid"), ("kind", b"\xff"))},
        {"headers": (("TraceParent", b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-01"),)},
        {"headers": (("ce_id", b"other"), ("ce_type", b"x"))},
        {"epoch": "1", "key": "k", "time": 5},
    ],
)
def test_the_quick_way_comes_to_what_the_careful_one_does(
    body: bytes, content_type: str, more: dict[str, Any]
) -> None:
    record = Record(body=body, channel="c", partition="0", offset="9", content_type=content_type,
                    **more)  # fmt: skip
    form = Form("t")
    quick = records.quick(record, form)
    assert quick is not None
    assert quick == records._careful(record, body, form)[0]
