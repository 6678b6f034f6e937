from __future__ import annotations

import base64
import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import ResolverMatch
from ninja.errors import HttpError

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.access.commands.people import create_user
from apps.access.queries import keys
from apps.eventlog.commands.forget import forget
from apps.eventlog.commands.systems import create_system, fork
from apps.eventlog.envelope import isoformat
from apps.eventlog.queries import counts, scan
from evdebug.api import api, may_read
from tests.conftest import Log
from tests.eventlog.histories import everything, history, matching
from tests.factories import NOON, delivery, envelope

pytestmark = pytest.mark.django_db


class Reader:
    """A program with a key, asking about one system."""

    def __init__(self, slug: str, key: str) -> None:
        self.slug, self.key, self.client = slug, key, Client()

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the response to a GET under the system."""
        return self.client.get(
            f"/api/v1/{self.slug}/{path}", parameters,
            headers={"Authorization": f"Bearer {self.key}"},
        )  # fmt: skip

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of an answer that must be a 200."""
        response = self.ask(path, **parameters)
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == "application/json"
        return json.loads(response.content)

    def refused(self, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body of an error."""
        response = self.ask(path, **parameters)
        body = json.loads(response.content)
        assert (
            {"code", "detail"} <= body.keys() <= {"code", "detail", "parameter", "column", "length"}
        )
        return response.status_code, body


def key_for(log: Log, *scopes: str) -> str:
    return create_key(log.line.system, scopes=scopes, by=CONSOLE).secret


@pytest.fixture
def reader(log: Log) -> Reader:
    keys.forget()
    return Reader(log.line.slug, key_for(log, "read"))


def test_it_works(log: Log, reader: Reader) -> None:
    log.append(
        envelope(
            type="PaymentCaptured", id="e-1", source="/payments", stream="payment-9", time=NOON,
            correlation="c-7", causation="e-0", channel="shop", metadata=b'{"x":1}',
            data=b'{"big": 12345678901234567890123, "exact": 0.10}',
        ),
        now=NOON + 500,
    )  # fmt: skip
    assert reader.get("events/1") == {
        "position": 1, "kind": "event", "id": "e-1", "source": "/payments",
        "type": "PaymentCaptured", "stream": "payment-9", "revision": 0,
        "time": "2026-05-12T12:00:00.000Z", "recorded_at": "2026-05-12T12:00:00.000500Z",
        "log_time": "2026-05-12T12:00:00.000Z", "correlation": "c-7", "causation": "e-0",
        "cause": None, "channel": "shop", "partition": "", "offset": "", "key": "", "tap": "",
        "datacontenttype": "application/json", "metadata": {"x": 1}, "seen": 1,
        "data": {"big": 12345678901234567890123, "exact": 0.1},
    }  # fmt: skip
    assert reader.get("events") == {
        "events": [reader.get("events/1")],
        "next": None,
        "complete": True,
    }
    assert reader.get("head") == {
        "position": 1, "log_time": "2026-05-12T12:00:00.000Z", "events": 1,
    }  # fmt: skip


def test_an_empty_log_answers_everything(reader: Reader) -> None:
    assert reader.get("head") == {"position": 0, "log_time": None, "events": 0}
    assert reader.get("events") == {"events": [], "next": None, "complete": True}
    assert reader.get("histogram") == {"bins": []}
    assert reader.get("streams") == {"streams": [], "next": None, "complete": True}
    assert set(reader.get("facets")) == set(counts.FACETS)
    assert reader.refused("events/1")[0] == 404


@pytest.mark.parametrize(
    "data",
    [
        b'{"n":12345678901234567890123456789,"d":0.1000000000000000055,"e":1E5,"s":"\\u00e9"}',
        b'  [1.0, 1, -0.0]\n', b'{"a":1,"a":2}', b'"text"', b"null",
    ],
)  # fmt: skip
def test_data_goes_out_as_it_came_in(log: Log, reader: Reader, data: bytes) -> None:
    log.add(data=data)
    assert b'"data":' + data in reader.ask("events/1").content
    assert data in reader.ask("events").content
    assert reader.ask("events/1/data").content == data
    reader.get("events")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"\xff\x00", "application/octet-stream"), (b"hello", "text/plain"),
        (b"{", "application/json"), (b"NaN", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'"\\ud800"', "application/json"), (b"\xef\xbb\xbf{}", "application/json"),
    ],
)  # fmt: skip
def test_data_that_is_no_json_goes_out_as_base64(
    log: Log, reader: Reader, data: bytes, content_type: str
) -> None:
    log.add(data=data, content_type=content_type)
    event = reader.get("events/1")
    assert base64.b64decode(event["data_base64"]) == data
    assert "data" not in event
    assert reader.ask("events/1/data").content == data


@pytest.mark.parametrize(
    ("content_type", "sent_as", "name"),
    [
        ("application/json", "application/json", "event-1.json"),
        (
            "application/cloudevents+json; charset=utf-8",
            "application/cloudevents+json",
            "event-1.json",
        ),
        ("text/plain; charset=latin-1", "text/plain", "event-1.txt"),
        ("text/html", "application/octet-stream", "event-1.bin"),
        ("image/svg+xml", "application/octet-stream", "event-1.bin"),
        ("image/svg+json", "application/octet-stream", "event-1.json"),
        ("application/javascript", "application/octet-stream", "event-1.bin"),
        ('x"; evil="1\r\nSet-Cookie: a=b', "application/octet-stream", "event-1.bin"),
    ],
)
def test_a_download_is_never_run_by_a_browser(
    log: Log, reader: Reader, content_type: str, sent_as: str, name: str
) -> None:
    log.add(data=b"<script>alert(1)</script>", content_type=content_type)
    response = reader.ask("events/1/data")
    assert response["Content-Type"] == sent_as
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.content == b"<script>alert(1)</script>"


def test_what_is_forgotten_says_so(log: Log, reader: Reader) -> None:
    log.append(envelope(data={"a": 1}), envelope())
    forget(log.line, before=2)
    event = reader.get("events/1")
    assert event["forgotten"] is True
    assert "data" not in event
    assert reader.refused("events/1/data")[0] == 410
    assert reader.ask("events/2/data").content == b""


def test_repeats_and_conflicts_are_told(log: Log, reader: Reader) -> None:
    log.append(*(envelope(id="1", data={"n": n}) for n in (1, 1, 2)))
    assert [(e["seen"], e.get("conflicts_with")) for e in reader.get("events")["events"]] == [
        (1, 1), (2, None)]  # fmt: skip


def test_pages_in_both_directions(reader: Reader) -> None:
    line = history(count=100)
    reader = Reader(line.slug, create_key(line.system, scopes=["read"], by=CONSOLE).secret)
    wanted = [e.position for e in matching(line, "type:Order*")]
    for order, bound in (("desc", "before"), ("asc", "after")):
        found: list[int] = []
        edge: dict[str, int] = {}
        while True:
            page = reader.get("events", query="type:Order*", order=order, limit=7, **edge)
            found += [event["position"] for event in page["events"]]
            assert page["complete"] is True
            if page["next"] is None:
                break
            edge = {bound: page["next"]}
        assert found == (wanted if order == "asc" else wanted[::-1])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("", 3), ("2", 2), ("#2", 2), ("0", 0), ("999", 3), ("2026-05-12T12:00:01Z", 2),
        ("2026-05-12T14:00:01+02:00", 2), ("2026-05-12T14:00:00.999999 02:00", 1),
        ("2025-01-01T00:00:00Z", 0), ("2027-01-01T00:00:00Z", 3),
    ],
)  # fmt: skip
def test_as_of_a_position_or_a_time(log: Log, reader: Reader, at: str, expected: int) -> None:
    log.append(*(envelope(time=NOON + n * 1_000_000, stream="s-1") for n in range(3)))
    assert len(reader.get("events", at=at)["events"]) == expected
    assert sum(v["count"] for v in reader.get("facets", at=at)["kind"]) == expected
    assert sum(b["count"] for b in reader.get("histogram", at=at)["bins"]) == expected
    assert [s["events"] for s in reader.get("streams", at=at)["streams"]] == [expected][:expected]


def test_deliveries_are_what_was_reported_by_then(log: Log, reader: Reader) -> None:
    event = log.add(id="e", time=NOON)
    told = {
        "attempt": 2, "started_at": "2026-05-12T12:00:01Z", "error": "boom",
        "finished_at": "2026-05-12T14:00:01.250+02:00",
    }  # fmt: skip
    log.append(
        delivery("email", "failed", cause=event, data=told, time=NOON + 2_000_000),
        delivery("stock", "handled", causation="e", data=b"garbage", time=NOON + 3_000_000),
        envelope(causation="e", kind="response"),
    )
    found = reader.get("events/1/deliveries")
    assert found["next"] is None
    assert found["deliveries"] == [
        {
            "position": 2, "subscriber": "email", "attempt": 2, "outcome": "failed",
            "evidence": "reported", "earliest": "2026-05-12T12:00:01.000Z",
            "latest": "2026-05-12T12:00:01.250Z", "started_at": "2026-05-12T12:00:01.000Z",
            "finished_at": "2026-05-12T12:00:01.250Z", "duration_ms": 250.0, "error": "boom",
        },
        {
            "position": 3, "subscriber": "stock", "attempt": 1, "outcome": "handled",
            "evidence": "reported", "earliest": "2026-05-12T12:00:03.000Z",
            "latest": "2026-05-12T12:00:03.000Z", "started_at": None, "finished_at": None,
            "duration_ms": None, "error": "",
        },
    ]  # fmt: skip
    assert [d["position"] for d in reader.get("events/1/deliveries", at=2)["deliveries"]] == [2]
    assert reader.get("events/1/deliveries", limit=1)["next"] == 2
    assert reader.get("events/1/deliveries", after=2)["deliveries"][0]["position"] == 3
    assert reader.refused("events/9/deliveries")[0] == 404


@pytest.mark.parametrize("text", ['{"attempt":true}', "[]", '{"started_at":"x","error":3}', "9"])
def test_a_report_that_says_nonsense_is_still_a_delivery(
    log: Log, reader: Reader, text: str
) -> None:
    log.append(envelope(), delivery("email", cause=1, data=text.encode()))
    (found,) = reader.get("events/1/deliveries")["deliveries"]
    assert (found["attempt"], found["started_at"], found["error"]) == (1, None, "")


def test_histogram_counts_sum_to_the_events_in_range() -> None:
    line = history(count=200)
    reader = Reader(line.slug, create_key(line.system, scopes=["read"], by=CONSOLE).secret)
    events = everything(line)
    for low, high in [(1, 200), (17, 150), (60, 60)]:
        bins = reader.get("histogram", **{"from": low, "to": high}, bins=9)["bins"]
        assert sum(b["count"] for b in bins) == high - low + 1
        start, end = events[low - 1].log_time, events[high - 1].log_time
        timed = reader.get("histogram", **{"from": isoformat(start), "to": isoformat(end)}, bins=9)
        assert sum(b["count"] for b in timed["bins"]) == sum(
            start <= e.log_time <= end + 999 * (end % 1000 == 0) for e in events
        )
    whole = reader.get("histogram", query="kind:delivery", bins=40)["bins"]
    assert len(whole) == 40
    assert sum(b["count"] for b in whole) == sum(e.kind == "delivery" for e in events)
    assert sum(b["failed"] for b in whole) == sum(e.failed for e in events)
    assert whole[0]["time"] == isoformat(events[0].log_time)


def test_facets_and_streams_are_those_of_the_log() -> None:
    line = history(count=150)
    reader = Reader(line.slug, create_key(line.system, scopes=["read"], by=CONSOLE).secret)
    events = matching(line, "source:web,email", at=120)
    found = reader.get("facets", query="source:web,email", at=120)
    assert {v["value"]: v["count"] for v in found["type"]} == Counter(e.type for e in events)
    names = sorted({e.stream for e in everything(line) if e.stream.startswith("order-1")})
    page = reader.get("streams", prefix="order-1", limit=2)
    assert [s["stream"] for s in page["streams"]] == names[:2]
    assert page["next"] == names[1]
    rest = reader.get("streams", prefix="order-1", after=names[1])
    assert [s["stream"] for s in rest["streams"]] == names[2:]
    assert reader.get("streams", category="order")["streams"][0]["category"] == "order"


def test_a_scan_that_stops_early_says_so(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "ROWS", 10)
    monkeypatch.setattr(scan, "LARGEST_WITH_DATA", 10)
    line = history(count=60)
    reader = Reader(line.slug, create_key(line.system, scopes=["read"], by=CONSOLE).secret)
    page = reader.get("events", query="data.total>9999")
    assert (page["complete"], page["scanned_to"], page["next"]) == (False, 51, 51)
    assert reader.get("facets", query="data.total>9999")["exact"] is False
    assert reader.get("histogram", query="data.total>9999")["exact"] is False


def test_a_sandbox_is_read_by_its_timeline(log: Log, reader: Reader) -> None:
    log.append(envelope(type="A"), envelope(type="B"))
    other = Log(fork(log.line, base=1))
    other.append(envelope(type="C", stream="s-1"), delivery("email", "failed", cause=2))
    here = {"timeline": other.line.timeline}
    assert [e["type"] for e in reader.get("events", order="asc", **here)["events"]] == [
        "A", "C", "failed"]  # fmt: skip
    assert reader.get("head", **here)["position"] == 3
    assert reader.get("events/2", **here)["type"] == "C"
    assert reader.get("events/2")["type"] == "B"
    assert len(reader.get("events/2/deliveries", **here)["deliveries"]) == 1
    assert sum(b["failed"] for b in reader.get("histogram", **here)["bins"]) == 1
    assert {v["value"] for v in reader.get("facets", **here)["type"]} == {"A", "C", "failed"}
    assert len(reader.get("streams", **here)["streams"]) == 1
    assert reader.ask("events/3/data", **here).status_code == 200


def test_a_timeline_of_another_system_is_not_there(log: Log, reader: Reader) -> None:
    foreign = create_system(f"{log.line.slug}-b")
    unknown = reader.refused("head", timeline=999_999)
    status, body = reader.refused("head", timeline=foreign.timeline)
    assert (status, body["code"]) == (unknown[0], unknown[1]["code"]) == (404, "unknown_timeline")
    assert (
        body["detail"].replace(f"timeline {foreign.timeline}.", "timeline 999999.")
        == (unknown[1]["detail"])
    )


@pytest.mark.parametrize(
    ("path", "parameters", "parameter", "column"),
    [
        ("events", {"query": "a typ:3"}, "query", 2), ("facets", {"query": "type:"}, "query", 4),
        ("histogram", {"query": '"x'}, "query", 0), ("events", {"at": "soon"}, "at", 0),
        ("events", {"at": "2026-05-12T12:00:00"}, "at", 0), ("streams", {"at": "x"}, "at", 0),
        ("facets", {"at": "-5"}, "at", 0), ("histogram", {"from": "x"}, "from", 0),
        ("histogram", {"to": "2026-13-01"}, "to", 0), ("events/1/deliveries", {"at": "x"}, "at", 0),
        ("events", {"query": "x" * 2001}, "query", 2000), ("events", {"query": "a\0"}, "query", 1),
        ("events", {"at": "1\0"}, "at", 0),
    ],
)  # fmt: skip
def test_a_text_that_is_wrong_says_where(
    log: Log, reader: Reader, path: str, parameters: dict[str, str], parameter: str, column: int
) -> None:
    log.add()
    status, body = reader.refused(path, **parameters)
    assert (status, body["parameter"], body["column"]) == (422, parameter, column)
    assert body["length"] >= 1


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("events", {"limit": "0"}), ("events", {"limit": "-1"}), ("events", {"limit": "many"}),
        ("events", {"before": "1.5"}), ("events", {"order": "up"}), ("histogram", {"bins": "0"}),
        ("head", {"timeline": "x"}), ("head", {"timeline": "9" * 30}),
        ("streams", {"prefix": "a\0"}), ("streams", {"limit": ""}),
    ],
)  # fmt: skip
def test_a_parameter_that_is_wrong_is_named(
    reader: Reader, path: str, parameters: dict[str, str]
) -> None:
    status, body = reader.refused(path, **parameters)
    assert status == 422
    assert next(iter(parameters)) in body["detail"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"before": "9" * 40}, {"after": "9" * 40}, {"before": "-9"}, {"at": "9" * 18},
        {"limit": "9" * 30}, {"query": "position:999999999999999999"}, {"query": "at:9999-12-31"},
        {"query": "cause:999999999999999999"}, {"query": "revision:5 seen>1 offset>9e999"},
    ],
)  # fmt: skip
def test_numbers_of_any_size_are_answered(
    log: Log, reader: Reader, parameters: dict[str, str]
) -> None:
    log.add()
    reader.get("events", **parameters)


def test_bounds_are_capped(log: Log, reader: Reader) -> None:
    log.append(*(envelope() for _ in range(1005)))
    assert len(reader.get("events", limit=100_000)["events"]) == 1000
    assert len(reader.get("histogram", bins=100_000)["bins"]) <= counts.BINS


def test_who_may_read(log: Log, reader: Reader) -> None:
    other = Log(create_system(f"{log.line.slug}-b"))
    path = f"/api/v1/{log.line.slug}/head"
    nobody = Client().get(path)
    assert (nobody.status_code, nobody["WWW-Authenticate"]) == (401, "Bearer")
    reader.key = "evk_" + "x" * 43
    assert reader.refused("head")[0] == 401
    reader.key = key_for(log, "ingest")
    detail = "This needs a key with scope 'read'; this one has ingest."
    assert reader.refused("head") == (403, {"code": "wrong_scope", "detail": detail})
    reader.key = key_for(log, "write")
    assert reader.get("head")["position"] == 0
    reader.key = key_for(other, "read")
    foreign = reader.refused("head")
    reader.slug = "there-is-none"
    assert foreign == reader.refused("head")
    assert foreign[0] == 404


def test_a_session_reads_too_but_only_reads(log: Log) -> None:
    root = create_user("root", by=CONSOLE, password="correct horse battery", everywhere=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    path = f"/api/v1/{log.line.slug}/head"
    assert client.get(path).status_code == 200
    refused = client.post(path)
    assert (refused.status_code, json.loads(refused.content)["code"]) == (405, "method_not_allowed")
    assert refused["Allow"] == "GET"


def test_a_session_changes_something_only_with_its_form_token(log: Log) -> None:
    root = create_user("root", by=CONSOLE, password="correct horse battery", everywhere=True)
    key = key_for(log, "read")
    request = RequestFactory().post("/api/v1/x/find")
    request.user = root
    request.resolver_match = ResolverMatch(may_read, (), {"system": log.line.slug})
    with pytest.raises(HttpError) as caught:
        may_read(request)
    assert caught.value.status_code == 403
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    del request.headers
    assert may_read(request).slug == log.line.slug


@pytest.mark.parametrize("path", ["", "nope", "shop/nope", "shop/events/x", "shop/events/1/nope"])
def test_an_address_there_is_not_is_told_in_json(reader: Reader, path: str) -> None:
    response = Client().get(f"/api/v1/{path}")
    assert (response.status_code, json.loads(response.content)["code"]) == (404, "not_found")


def test_a_database_that_is_gone_is_a_503(
    log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*args: object, **kwargs: object) -> None:
        raise OperationalError("the disk is on fire")

    monkeypatch.setattr("apps.eventlog.queries.search.search", gone)
    response = reader.ask("events")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert "fire" not in response.content.decode()
    assert "fire" in caplog.text


def test_a_bug_is_a_500_in_json_and_in_the_log(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("apps.eventlog.queries.search.search", lambda *a, **k: 1 / 0)
    assert reader.refused("events")[0] == 500
    assert "ZeroDivisionError" in caplog.text


def test_answers_are_not_kept_by_caches(log: Log, reader: Reader) -> None:
    log.add()
    for path in ("head", "events", "events/1", "events/1/data", "facets"):
        assert "no-store" in reader.ask(path)["Cache-Control"]


def test_the_description_matches_the_answers(log: Log, reader: Reader) -> None:
    log.append(envelope(stream="s-1"), delivery("email", cause=1))
    document = json.loads(Client().get("/api/v1/openapi.json").content)
    schemas = document["components"]["schemas"]
    gets = {path: some["get"] for path, some in document["paths"].items() if "get" in some}
    ours = {path: each for path, each in gets.items() if each["tags"] == ["events"]}
    assert len(ours) == 7
    for path, operation in ours.items():
        described = operation["responses"]["200"]["content"]
        if "application/json" not in described:
            continue
        name = described["application/json"]["schema"]["$ref"].rpartition("/")[2]
        asked = path.removeprefix("/api/v1/{system}/").replace("{position}", "1")
        answered = reader.get(asked)
        assert answered.keys() <= schemas[name]["properties"].keys(), path
        assert set(schemas[name]["required"]) <= answered.keys(), path
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= schemas.keys()
    names = [o["operationId"] for some in document["paths"].values() for o in some.values()]
    assert len(set(names)) == len(names)


def test_the_docs_list_every_operation_without_scripts_of_others() -> None:
    response = Client().get("/api/v1/docs")
    html = response.content.decode()
    for path in api.get_openapi_schema()["paths"]:
        assert path in html
    assert all(src.startswith("/static/") for src in re.findall(r'<script[^>]*src="([^"]*)"', html))
    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", html)
    assert "default-src 'self'" in response["Content-Security-Policy"]


def test_times_are_rfc_3339(log: Log, reader: Reader) -> None:
    log.append(envelope(time=NOON + 1), envelope(time=-62135596800_000_000), now=NOON + 5)
    for event in reader.get("events")["events"]:
        for name in ("time", "recorded_at", "log_time"):
            assert datetime.fromisoformat(event[name]).tzinfo is not None
