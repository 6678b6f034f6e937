"""The examples of the contract (INTERFACES §3), each line of it, against a running server."""

from __future__ import annotations

import gzip
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.ingest.asking import Answer, post
from tests.ingest.hostile import BATCH, JSON, NDJSON, STRUCTURED, binary, event, report
from tests.ingest.outages import locked
from tests.running import Evdebug, System

EVENTS, DELIVERIES = "/v1/events", "/v1/deliveries"


@pytest.fixture
def system(server: Evdebug, request: pytest.FixtureRequest) -> System:
    """A system of the test's own, so that positions begin at 1."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:60]
    return server.system(slug.strip("-"))


def send(system: System, body: Any, content_type: str | None = JSON, **options: Any) -> Answer:
    """POST to the events' door, or another `path`, with the ingest key."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = options.pop("path", EVENTS)
    known = {"key": system.ingest_key} | options
    return post(system.server, path, raw, content_type=content_type, **known)


def summary(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    shape: dict[str, Any] = answer.json
    return shape


def test_it_works(system: System) -> None:
    one, two = event(id="a"), event(id="b")
    assert summary(send(system, one, STRUCTURED)) == {
        "received": 1, "stored": 1, "duplicates": 0, "rejected": 0, "head": 1, "positions": [1],
    }  # fmt: skip
    batch = b"[" + b",".join([two, event(id="c"), one]) + b"]"
    assert summary(send(system, batch, BATCH)) == {
        "received": 3, "stored": 2, "duplicates": 1, "rejected": 0, "head": 3,
        "positions": [2, 3, 1],
    }  # fmt: skip


def test_binary_mode(system: System) -> None:
    answer = send(system, b"\x00\xff", "image/png", headers=binary(subject="img-1"))
    assert summary(answer)["positions"] == [1]
    status, stored = system.get("events/1")
    assert status == 200
    assert (stored["stream"], stored["datacontenttype"]) == ("img-1", "image/png")
    assert stored["data_base64"] == "AP8="


def test_plain_events(system: System) -> None:
    assert summary(send(system, {"type": "Hello"}))["positions"] == [1]
    assert summary(send(system, [{"type": "Hello"}, {"type": "Hello"}]))["positions"] == [2, 3]


def test_lines(system: System) -> None:
    body = event(id="a") + b"\n\n" + event(id="b") + b"\r\n" + event(id="c")
    assert summary(send(system, body, NDJSON)) == {
        "received": 3, "stored": 3, "duplicates": 0, "rejected": 0, "head": 3,
        "positions": [1, 2, 3],
    }  # fmt: skip


def test_a_mixed_batch_stores_the_good(system: System) -> None:
    shape = summary(send(system, [{"type": "t"}, {"no": "type"}, {"type": "t"}]))
    (problem,) = shape.pop("problems")
    assert shape == {
        "received": 3, "stored": 2, "duplicates": 0, "rejected": 1, "head": 2,
        "positions": [1, None, 2],
    }  # fmt: skip
    assert (problem["index"], problem["code"]) == (1, "missing_type")
    assert problem["detail"]


def test_lines_that_are_no_events_are_kept(system: System) -> None:
    body = event(id="a") + b"\nnot json\n" + event(id="b", source=None) + b"\n" + event(id="c")
    shape = summary(send(system, body, NDJSON))
    assert (shape["stored"], shape["rejected"], shape["positions"]) == (2, 2, [1, None, None, 2])
    assert [(p["index"], p["code"]) for p in shape["problems"]] == [
        (1, "invalid_json"), (2, "missing_source"),
    ]  # fmt: skip


def test_a_request_that_is_one_event_and_invalid_is_400(system: System) -> None:
    for body, content_type in (({"a": 1}, JSON), (b"{}", STRUCTURED), (b"x", STRUCTURED)):
        answer = send(system, body, content_type)
        assert answer.status == 400
        assert answer.code
    assert system.get("head")[1]["position"] == 0


def test_nothing_is_200_with_zeros(system: System) -> None:
    zeros = {"received": 0, "stored": 0, "duplicates": 0, "rejected": 0, "head": 0, "positions": []}
    assert summary(send(system, [])) == zeros
    assert summary(send(system, b"[]", BATCH)) == zeros
    assert summary(send(system, b"", NDJSON)) == zeros
    assert summary(send(system, b"\n \n", NDJSON)) == zeros
    assert summary(send(system, [], path=DELIVERIES)) == zeros


def test_gzip_counts_decompressed_bytes(system: System) -> None:
    packed = (("Content-Encoding", "gzip"),)
    good = gzip.compress(json.dumps({"type": "t"}).encode())
    assert summary(send(system, good, headers=packed))["stored"] == 1
    lines = gzip.compress(b"\n".join(event() for _ in range(3000)))
    assert summary(send(system, lines, NDJSON, headers=packed))["stored"] == 3000
    bomb = gzip.compress(b"[" + b" " * 40_000_000 + b"]")
    assert len(bomb) < 100_000
    answer = send(system, bomb, headers=packed)
    assert (answer.status, answer.code) == (413, "body_too_big")


@pytest.mark.slow
def test_the_bounds_are_exact(new_server: Any) -> None:
    small = new_server(EVDEBUG_MAX_BODY="2000", EVDEBUG_MAX_EVENT="1000", EVDEBUG_MAX_BATCH="3")
    system = small.system("bounds")
    assert send(system, padded(1000), STRUCTURED).status == 200
    answer = send(system, padded(1001), STRUCTURED)
    assert (answer.status, answer.code) == (413, "event_too_big")
    for size, status in ((2000, 200), (2001, 413)):
        assert send(system, b"[" + b" " * (size - 2) + b"]").status == status
    assert send(system, [{"type": "t"}] * 3).status == 200
    answer = send(system, [{"type": "t"}] * 4)
    assert (answer.status, answer.code) == (413, "too_many_events")
    # Lines have no bound together, and each the bound of an event.
    lines = b"\n".join([padded(999), padded(1001), *[padded(500)] * 20])
    shape = summary(send(system, lines, NDJSON))
    assert (shape["received"], shape["rejected"]) == (22, 1)
    assert shape["problems"][0]["code"] == "event_too_big"


def padded(size: int) -> bytes:
    """Return an event of exactly this many bytes."""
    least = len(event(b'""'))
    return event(b'"' + b"x" * (size - least) + b'"')


def test_errors(system: System) -> None:
    """Each status of the contract, in its shape."""
    key = system.ingest_key
    expected = {
        (400, "invalid_json"): send(system, b"{"),
        (401, "bad_key"): send(system, [], key="evk_" + "x" * 43),
        (403, "wrong_scope"): send(system, [], key=system.read_key),
        (413, "body_too_big"): send(system, b" " * (32 * 1024 * 1024 + 1)),
        (415, "unsupported_content_type"): send(system, [], "text/plain"),
    }
    for (status, code), answer in expected.items():
        assert (answer.status, answer.code) == (status, code)
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = post(system.server, EVENTS, b"", key=key, method=method)
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"
        assert method == "HEAD" or answer.code == "method_not_allowed"
    for path in ("/v1/trace", "/v1/", "/v1/events/", "/v1/eventsX", "/v1/../v1/nothing"):
        answer = send(system, [], path=path)
        assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    "headers",
    [
        (), (("Authorization", "Basic dXNlcjpwYXNz"),), (("Authorization", "Bearer"),),
        (("Authorization", "Bearer  "),), (("Authorization", "Bearer evk_\xff"),),
        (("Cookie", "evdebug_session=x"),), (("X-Api-Key", "evk_x"),),
        (("Authorization", "Bearer " + "x" * 8000),),
    ],
)  # fmt: skip
def test_without_a_key_nothing_is_taken(
    server: Evdebug, headers: tuple[tuple[str, str], ...]
) -> None:
    answer = post(server, EVENTS, b"[]", headers=headers)
    assert (answer.status, answer.code) == (401, "bad_key")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_keys_are_none(system: System) -> None:
    again = (("Authorization", f"Bearer {system.ingest_key}"),)
    assert send(system, [], headers=again).status == 401


def test_a_key_in_the_address_is_none(system: System) -> None:
    key = system.ingest_key
    answer = send(system, [], key="", path=f"{EVENTS}?key={key}&access_token={key}")
    assert answer.status == 401
    assert key not in system.server.said()


@pytest.mark.slow
def test_a_revoked_key_opens_nothing_soon(system: System) -> None:
    made = json.loads(
        system.server.manage("key", "create", system.slug, "--scope", "ingest", "--json")
    )
    assert send(system, [], key=made["key"]).status == 200
    system.server.manage("key", "revoke", str(made["id"]))
    statuses = iter(lambda: send(system, [], key=made["key"]).status, 401)
    assert all(status == 200 for status in statuses)  # ends within the test's timeout


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_rate_of_a_key_is_bounded(new_server: Any) -> None:
    system = new_server(EVDEBUG_KEY_RATE="5").system("rated")
    answers = [send(system, []) for _ in range(30)]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    assert all((a.status, a.code) == (429, "rate_limited") for a in refused)
    assert all(a.headers["retry-after"] == "1" for a in refused)
    other = system.server.manage("key", "create", "rated", "--scope", "ingest").strip()
    assert send(system, [], key=other).status == 200  # each key has its own share


@pytest.mark.slow
def test_a_full_queue_is_429(new_server: Any) -> None:
    system = new_server(EVDEBUG_QUEUE_EVENTS="2").system("full")
    assert send(system, {"type": "t"}).status == 200
    refused = threading.Event()

    def ask(_: int) -> Answer:
        answer = send(system, {"type": "t"})
        if answer.status == 429:
            refused.set()
        return answer

    with ThreadPoolExecutor(10) as pool:
        with locked(system.server):  # nothing is written, so what is taken waits
            answers = pool.map(ask, range(10))
            assert refused.wait(30)
        found = {answer.status: answer for answer in answers}
    assert set(found) == {200, 429}
    assert found[429].code == "queue_full"
    assert found[429].headers["retry-after"] == "1"


def test_reports_of_deliveries(system: System) -> None:
    send(system, {"type": "t", "id": "e", "source": "/s"})
    shape = summary(send(system, report(), path=DELIVERIES))
    assert shape == {
        "received": 1, "stored": 1, "duplicates": 0, "rejected": 0, "head": 2, "positions": [2],
    }  # fmt: skip
    again = summary(send(system, report(), path=DELIVERIES))
    assert (again["stored"], again["duplicates"], again["positions"]) == (0, 1, [2])
    by_position = report(event={"position": 1}, outcome="failed", error="boom", attempt=2)
    lines = by_position + b"\n" + report(subscriber="mail")
    assert summary(send(system, lines, NDJSON, path=DELIVERIES))["positions"] == [3, 4]

    delivered = system.get("events/1/deliveries")[1]["deliveries"]
    assert [(d["position"], d["subscriber"], d["outcome"]) for d in delivered] == [
        (2, "payments", "handled"), (3, "payments", "failed"), (4, "mail", "handled"),
    ]  # fmt: skip
    assert system.get("events/1/deliveries?at=2")[1]["deliveries"] == delivered[:1]


def test_a_delivery_may_come_before_its_event(system: System) -> None:
    assert summary(send(system, report(), path=DELIVERIES))["positions"] == [1]
    send(system, {"type": "t", "id": "e", "source": "/s"})
    assert system.get("events/1")[1]["cause"] == 2


def test_a_report_of_a_position_to_come_is_kept_from_a_stream(system: System) -> None:
    lines = b"\n".join([report(event={"position": 99}), report()])
    shape = summary(send(system, lines, NDJSON, path=DELIVERIES))
    assert (shape["stored"], shape["rejected"], shape["positions"]) == (1, 1, [None, 1])
    assert shape["problems"][0]["code"] == "unknown_position"


def test_a_long_stream_is_stored_in_order(system: System) -> None:
    count = 25_000
    body = b"\n".join(event(b"%d" % n, id=f"n{n}") for n in range(count))

    shape = summary(send(system, body, NDJSON))

    assert (shape["received"], shape["stored"], shape["head"]) == (count, count, count)
    assert "positions" not in shape  # of so many only the counts are told
    first = system.get("events?order=asc&limit=3")[1]["events"]
    assert [e["data"] for e in first] == [0, 1, 2]
    assert system.get(f"events/{count}")[1]["data"] == count - 1
