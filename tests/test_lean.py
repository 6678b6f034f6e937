"""The short way reads a request as the long way would, or leaves it alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdebug import lean
from evdebug.lean import Brief, Whole, read

HEAD = b"POST /v1/events?a=b%20c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-A:\t b \r\n\r\n"


def test_it_works() -> None:
    parsed = read(HEAD + b"[]")
    assert parsed is not None
    known, body = parsed
    scope = known.scope
    assert body == b"[]"
    assert (scope["method"], scope["path"], scope["query_string"]) == (
        "POST",
        "/v1/events",
        b"a=b%20c",
    )
    assert scope["headers"] == [(b"host", b"x"), (b"content-length", b"2"), (b"x-a", b"b")]


def changed(old: bytes, new: bytes) -> bytes:
    return HEAD.replace(old, new) + b"[]"


@pytest.mark.parametrize(
    "data",
    [
        HEAD, HEAD + b"[", HEAD + b"[] ", HEAD + b"[]" + HEAD + b"[]", b"", HEAD[:-1],
        changed(b"POST", b"GET"), changed(b"/v1/", b"/api/"), changed(b"1.1", b"1.0"),
        changed(b"\r\nX-A", b"\nX-A"), changed(b"X-A:", b"X A:"), changed(b"X-A:", b" X-A:"),
        changed(b"X-A:", b":"), changed(b"X-A:\t b", b"X-A"), changed(b" b ", b" \x0b "),
        changed(b" b ", b" a\x85b "), changed(b" b ", b" a\x00b "), changed(b" b ", b" a\x7fb "),
        changed(b"Content-Length: 2", b"Content-Length: +2"),
        changed(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
        changed(b"Content-Length: 2", b"Content-Length: 2, 2"),
        changed(b"Content-Length: 2", b"Content-Length: 0x2"),
        changed(b"Content-Length: 2", b"Content-Length: \xb2"),
        changed(b"X-A:\t b", b"Transfer-Encoding: chunked"),
        changed(b"X-A:\t b", b"expect: 100-continue"),
        changed(b"X-A:\t b", b"Upgrade: websocket"), changed(b"X-A:\t b", b"Connection: close"),
        changed(b"Content-Length: 2", b"Y: z"), changed(b"a=b", b"a b"),
        changed(b"a=b", b"\xc3\xa9"),
        changed(b" b ", b" " + b"x" * 20_000),
    ],
)  # fmt: skip
def test_whatever_is_out_of_the_ordinary_takes_the_long_way(data: bytes) -> None:
    assert read(data) is None


@given(st.binary(max_size=60), st.integers(0, len(HEAD)), st.integers(0, 20))
def test_no_bytes_break_it(noise: bytes, at: int, cut: int) -> None:
    data = HEAD[:at] + noise + HEAD[at + cut :] + b"[]"
    parsed = read(data)
    if parsed is not None:
        known, body = parsed
        scope = known.scope
        assert data.endswith(b"\r\n\r\n" + body)
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        assert lengths == [b"%d" % len(body)]
        assert not any(name in lean._UNUSUAL for name, _ in scope["headers"])


@pytest.mark.timeout(10)
def test_no_bytes_take_it_long() -> None:
    for filler in (
        b"a: " + b" " * 16_000,
        b"a" * 16_000,
        b"a:b\r\n" * 4000,
        b"a:" + b"\t x" * 5000,
    ):
        read(b"POST /v1/events HTTP/1.1\r\n" + filler + b"\x00")


class Connection:
    sent: list[bytes]

    def __init__(self) -> None:
        self.sent = []

    def answered(self, data: bytes) -> None:
        self.sent.append(data)


def whole() -> tuple[Whole, Connection]:
    connection = Connection()
    return Whole(connection, {}, b"body"), connection


async def test_an_application_reads_once_and_answers_once() -> None:
    request, connection = whole()
    assert await request.receive() == {"type": "http.request", "body": b"body", "more_body": False}
    waiting = asyncio.ensure_future(request.receive())
    await request.send(start(200, [(b"a", b"b")]))
    await request.send({"type": "http.response.body", "body": b"he", "more_body": True})
    assert connection.sent == []
    await request.send({"type": "http.response.body", "body": b"y"})
    assert connection.sent == [b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\n\r\nhey"]
    assert await waiting == {"type": "http.disconnect"}
    await request.send({"type": "http.response.body", "body": b"again"})
    assert len(connection.sent) == 1


def start(status: int, headers: list[Any]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def test_nobody_is_answered_who_is_gone() -> None:
    request, connection = whole()
    request.end()
    await request.send(start(200, []))
    await request.send({"type": "http.response.body", "body": b""})
    assert connection.sent == []


async def test_an_application_that_fails_is_answered_for() -> None:
    request, connection = whole()
    request.fail()
    assert connection.sent[0].startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert request.ended


async def test_a_brief_request_is_answered_once_and_under_way_until_then() -> None:
    connection, under_way = Connection(), set[Brief]()
    request = Brief(connection, under_way)
    assert under_way == {request}
    request.tell(200, [(b"a", b"b")], b"hey")
    request.tell(200, [], b"again")
    assert connection.sent == [b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\n\r\nhey"]
    assert under_way == set()


async def test_a_brief_request_whose_client_is_gone_is_not_answered() -> None:
    connection, under_way = Connection(), set[Brief]()
    request = Brief(connection, under_way)
    request.end()
    request.tell(200, [], b"hey")
    assert connection.sent == []
    assert under_way == set()
