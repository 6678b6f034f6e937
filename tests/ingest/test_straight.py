"""The way straight to the writer answers as the whole application does."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from apps.access.errors import BadKey
from apps.access.queries import keys
from apps.eventlog.envelope import Envelope
from apps.ingest import answers, door
from apps.ingest.incoming import Gone
from apps.ingest.problems import Refused
from apps.ingest.rates import Rates
from apps.ingest.writer import queue, straight
from evdebug.lean import Head
from tests.ingest import hostile
from tests.ingest.hostile import Case, event
from tests.ingest.test_door import GRANT, KEY, Desk

Answer = tuple[int, dict[bytes, bytes], Any]
AUTHORIZED = (b"authorization", f"Bearer {KEY}".encode())


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(queue, "current", lambda: desk)
    monkeypatch.setattr(queue, "check", lambda: None)
    monkeypatch.setattr(keys, "recall", lambda bearer, scope: GRANT)
    monkeypatch.setattr(keys, "remembered", lambda digest, scope: GRANT)
    return desk


def scope(path: str = "/v1/events", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": path, "headers": [*headers]}


def scope_of(case: Case, path: str) -> dict[str, Any]:
    """Return the scope of a case as the server gives it."""
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in case.headers]
    if case.content_type is not None:
        headers.append((b"content-type", case.content_type.encode("latin-1")))
    length = (b"content-length", b"%d" % len(case.body))
    return scope(path, AUTHORIZED, length, *headers)


def straight_on(scope: dict[str, Any], body: bytes) -> Answer | None:
    """Return the answer of the short way, None where it leaves the request alone."""
    told: list[Answer] = []

    def tell(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        told.append((status, dict(headers), json.loads(body)))

    if not straight.at_once(Head(scope, len(body)), body, tell):
        assert not told
        return None
    (answer,) = told
    return answer


async def asked(scope: dict[str, Any], body: bytes) -> Answer:
    """Return the answer of the application."""
    sent: list[dict[str, Any]] = []
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not left:
            raise Gone
        return left.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await door.application(scope, receive, send)
    start, content = sent
    headers = dict(start["headers"])
    del headers[b"content-length"]
    return start["status"], headers, json.loads(content["body"])


def handed_in(desk: Desk) -> list[Envelope]:
    """Return the events the writer was given, without their ids: some of those are made here."""
    return [msgspec.structs.replace(e, id="") for job in desk.jobs for e in job.envelopes]


CASES = [("/v1/events", case) for case in hostile.EVENTS] + [
    ("/v1/deliveries", case) for case in hostile.DELIVERIES
]


@pytest.mark.parametrize(("path", "case"), CASES, ids=str)
async def test_both_ways_give_one_answer(path: str, case: Case, desk: Desk) -> None:
    quick = straight_on(scope_of(case, path), case.body)
    jobs = handed_in(desk)
    desk.jobs, desk.head = [], 0
    if quick is not None:
        assert quick == await asked(scope_of(case, path), case.body)
        assert jobs == handed_in(desk)
    else:
        assert jobs == []


async def test_what_is_ordinary_goes_straight(desk: Desk) -> None:
    types = {
        hostile.STRUCTURED: event(), hostile.BATCH: b"[" + event() + b"]",
        hostile.JSON: b'{"type":"t"}', "": b"",
    }  # fmt: skip
    for content_type, body in types.items():
        answer = straight_on(
            scope("/v1/events", AUTHORIZED, (b"content-type", content_type.encode())), body
        )
        assert (answer is not None) == bool(content_type)
        assert answer is None or (answer[0], answer[2]["stored"]) == (200, 1)


@pytest.mark.parametrize(
    "given",
    [
        scope("/v1/traces", AUTHORIZED), scope("/v1/hooks/s/n", AUTHORIZED), scope("/v1/nowhere"),
        scope() | {"method": "GET"}, scope(), scope("/v1/events", AUTHORIZED, AUTHORIZED),
        scope("/v1/events", AUTHORIZED, (b"content-type", b"application/x-ndjson")),
        scope("/v1/events", AUTHORIZED, (b"content-type", b"application/json"),
              (b"content-encoding", b"gzip")),
        scope("/v1/events", AUTHORIZED, (b"content-type", b"text/plain")),
    ],
)  # fmt: skip
async def test_what_is_not_is_left_alone(given: dict[str, Any], desk: Desk) -> None:
    assert straight_on(given, event()) is None
    assert straight_on(given, event()) is None  # nor when its head is known
    assert desk.jobs == []


async def test_what_bears_the_mark_of_a_sandbox_is_left_alone(desk: Desk) -> None:
    kind = (b"content-type", hostile.STRUCTURED.encode())
    mark = b'"' + b"0" * 32 + b'.1"'
    given = scope("/v1/events", AUTHORIZED, kind)
    for name in (b"evdebugsandbox", rb"\u0065vdebugsandbox"):
        assert straight_on(given, hostile.attribute(name, mark)) is None
    header = (b"evdebug-sandbox", mark[1:-1])
    assert straight_on(scope("/v1/events", AUTHORIZED, kind, header), event()) is None
    binary = (b"ce-evdebugsandbox", mark[1:-1])
    assert straight_on(scope("/v1/events", AUTHORIZED, kind, binary), event()) is None
    assert desk.jobs == []


async def test_a_large_body_is_left_alone(desk: Desk) -> None:
    body = event(b'"%s"' % (b"x" * straight.LARGEST))
    given = scope("/v1/events", AUTHORIZED, (b"content-type", hostile.STRUCTURED.encode()))
    assert straight_on(given, body) is None


async def test_a_key_that_must_be_looked_up_or_is_none_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = scope("/v1/events", AUTHORIZED, (b"content-type", hostile.STRUCTURED.encode()))
    monkeypatch.setattr(keys, "remembered", lambda digest, scope: None)
    assert straight_on(given, event()) is None

    def remembered(digest: str, scope: str) -> None:
        raise BadKey

    monkeypatch.setattr(keys, "remembered", remembered)
    assert straight_on(given, event()) is None


async def test_refusals_are_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given = scope("/v1/events", AUTHORIZED, (b"content-type", hostile.STRUCTURED.encode()))
    monkeypatch.setattr(door, "RATES", Rates(1))
    assert straight_on(given, event()) is not None
    answer = straight_on(given, event())
    assert answer is not None
    assert (answer[0], answer[1][b"retry-after"], answer[2]["code"]) == (429, b"1", "rate_limited")

    monkeypatch.setattr(door, "RATES", Rates(0))
    desk.outcome, desk.after = Refused(503, "unavailable", "no", retry_after=5), 0
    answer = straight_on(given, event())
    assert answer is not None
    assert (answer[0], answer[1][b"retry-after"]) == (503, b"5")


async def test_a_bug_in_one_answer_costs_the_others_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(answers, "report_on", broken)
    given = scope("/v1/events", AUTHORIZED, (b"content-type", hostile.STRUCTURED.encode()))
    answer = straight_on(given, event())
    assert answer is not None
    assert (answer[0], answer[2]["code"]) == (500, "not_stored")
