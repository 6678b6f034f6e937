"""The limits of the server, byte by byte over its socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ingest.asking import Wire, head, post
from tests.ingest.outages import locked
from tests.ingest.test_hostile import resident
from tests.running import Evdebug, System

pytestmark = pytest.mark.only("sqlite")  # requests are judged before the database is asked

TYPE = "Content-Type: application/json"
MiB = 1024 * 1024


@pytest.fixture(scope="module")
def system(server: Evdebug) -> System:
    return server.default


@pytest.fixture
def wire(server: Evdebug) -> Iterator[Wire]:
    wire = Wire(server)
    yield wire
    wire.close()
    # Whatever was sent, others are served.
    assert post(server, "/healthz", b"", method="GET").status == 200


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def events(system: System) -> int:
    position: int = system.get("head")[1]["position"]
    return position


def test_it_works(system: System, wire: Wire) -> None:
    body = b'{"type":"t"}'
    for _ in range(3):  # on one connection
        wire.send(head(system.ingest_key, TYPE, f"Content-Length: {len(body)}") + body)
        answer = wire.answer()
        assert answer
        assert answer.status == 200
        assert "server" not in answer.headers


def test_requests_in_a_row_are_answered_in_order(system: System, wire: Wire) -> None:
    bodies = [json.dumps([{"type": "t", "id": f"row-{n}"}] * n).encode() for n in range(5)]
    wire.send(
        b"".join(head(system.ingest_key, TYPE, f"Content-Length: {len(b)}") + b for b in bodies)
    )
    received: list[int] = []
    rest = b""
    while len(received) < 5:
        rest += wire._receive()
        while b"\r\n\r\n" in rest:
            top, _, tail = rest.partition(b"\r\n\r\n")
            size = int(top.lower().split(b"content-length:")[1].split()[0])
            if len(tail) < size:
                break
            received.append(json.loads(tail[:size])["received"])
            rest = tail[size:]
    assert received == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_client_that_leaves_before_its_answer_is_missed_by_nobody(new_server: Any) -> None:
    system = new_server().system("left")

    def ask(event_id: str) -> Wire:
        body = b'{"type":"t","id":"%s"}' % event_id.encode()
        wire = Wire(system.server)
        wire.send(head(system.ingest_key, TYPE, f"Content-Length: {len(body)}") + body)
        return wire

    first = ask("first").answer()
    assert first
    assert first.json["head"] == 1
    with locked(system.server):  # what comes now waits
        ask("gone").close()
        staying = [ask(f"stays-{n}") for n in range(3)]
    for wire in staying:
        answer = wire.answer()
        assert answer
        assert answer.status == 200
    assert events(system) == 5
    assert system.server.stop() == 0


@pytest.mark.parametrize("step", [1, 7, 100])
def test_a_request_may_come_in_pieces(step: int, system: System, wire: Wire) -> None:
    body = b'{"type":"t"}'
    data = head(system.ingest_key, TYPE, f"Content-Length: {len(body)}") + body
    for at in range(0, len(data), step):
        wire.send(data[at : at + step])
    answer = wire.answer()
    assert answer
    assert answer.json["stored"] == 1


def test_a_body_may_come_in_chunks(system: System, wire: Wire) -> None:
    wire.send(head(system.ingest_key, TYPE, "Transfer-Encoding: chunked"))
    for part in (b'{"ty', b'pe":', b'"t"}'):
        wire.send(chunk(part))
    wire.send(chunk(b""))
    answer = wire.answer()
    assert answer
    assert answer.json["stored"] == 1


def test_a_client_that_asks_first_is_told_to_go_on(system: System, wire: Wire) -> None:
    body = b'{"type":"t"}'
    expect = ("Expect: 100-continue", f"Content-Length: {len(body)}")
    wire.send(head(system.ingest_key, TYPE, *expect))
    assert wire._receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(body)
    answer = wire.answer()
    assert answer
    assert answer.status == 200


def test_a_client_that_asks_first_is_refused_before_it_sends(system: System, wire: Wire) -> None:
    wire.send(head("evk_wrong", TYPE, "Expect: 100-continue", "Content-Length: 1000"))
    answer = wire.answer()
    assert answer
    assert answer.status == 401


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 10000000000"], 413),  # B12
        (["Content-Length: 99999999999999999999999999"], 413),
        (["Content-Length: -1"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: 5, 5"], 400),
        (["Content-Length: 0x10"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: 2", "Content-Length: 2"], 400),
        (["Content-Length: 2", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 2"], 400),
        (["Transfer-Encoding: gzip, chunked"], 400),
        (["Transfer-Encoding: xchunked"], 400),
        (["Content-Length: 2", "No colon"], 400),
        (["Content-Length: 2", "Bad Name: x"], 400),
        (["Content-Length: 2", "X: a\x0bb"], 400),
        (["Content-Length: 2", "X: a\x00b"], 400),
        (["Content-Length: 2", *[f"X-{n}: y" for n in range(600)]], 400),
        (["Content-Length: 2", "X: " + "y" * 20_000], 431),
    ],
)
def test_a_head_that_is_wrong_is_refused_and_the_connection_closed(
    lines: list[str], status: int, system: System, wire: Wire
) -> None:
    before = events(system)
    wire.send(head(system.ingest_key, TYPE, *lines))
    answer = wire.answer()
    assert answer
    assert answer.status == status
    assert set(answer.json) == {"code", "detail"}
    wire.send(b'{"type":"smuggled"}')
    assert wire.is_closed()
    assert events(system) == before


def test_what_is_smuggled_behind_a_refused_head_is_not_read(system: System, wire: Wire) -> None:
    before = events(system)
    body = b'{"type":"smuggled"}'
    inner = head(system.ingest_key, TYPE, f"Content-Length: {len(body)}") + body
    wire.send(
        head(system.ingest_key, TYPE, "Content-Length: 5", "Transfer-Encoding: chunked") + inner
    )
    answer = wire.answer()
    assert answer
    assert answer.status == 400
    assert wire.is_closed()
    assert events(system) == before


def test_a_body_that_ends_early_is_not_stored(system: System, server: Evdebug) -> None:  # B14
    before = events(system)
    for lines in (["Content-Length: 1000"], ["Transfer-Encoding: chunked"]):
        wire = Wire(server)
        wire.send(head(system.ingest_key, TYPE, *lines))
        wire.send(b'{"type":"t"}' if "1000" in lines[0] else chunk(b'{"type":"t"}'))
        wire.close()
    assert events(system) == before


def test_chunks_that_are_none_are_refused(system: System, wire: Wire) -> None:
    before = events(system)
    wire.send(head(system.ingest_key, TYPE, "Transfer-Encoding: chunked"))
    wire.send(chunk(b'{"type":"t"}') + b"nonsense\r\n")
    answer = wire.answer()
    assert answer
    assert answer.status == 400
    assert wire.is_closed()
    assert events(system) == before


@pytest.mark.parametrize("path", ["/v1/events", "/signin"])
def test_a_body_without_end_is_cut_at_the_cap(path: str, system: System, wire: Wire) -> None:  # B13
    before = resident(system.server)
    wire.send(head(system.ingest_key, TYPE, "Transfer-Encoding: chunked", path=path))
    sent, piece = 0, chunk(b" " * MiB)
    began = time.monotonic()
    try:
        while sent < 200 * MiB:
            wire.send(piece)
            sent += MiB
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    assert sent < 200 * MiB
    assert time.monotonic() - began < 20
    answer = wire.answer()
    if answer:  # a client that never stops to read may not get to see it
        assert (answer.status, answer.json["code"]) == (413, "body_too_big")
    assert resident(system.server) - before < 120 * MiB


@pytest.mark.parametrize("path", ["/v1/events", "/signin"])
def test_a_declared_giant_is_refused_at_once(path: str, system: System, wire: Wire) -> None:  # B11
    began = time.monotonic()
    wire.send(head(system.ingest_key, TYPE, "Content-Length: 104857600", path=path))
    answer = wire.answer()
    assert answer
    assert answer.status == 413
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_stream_of_any_length_takes_little_memory(system: System, wire: Wire) -> None:
    """200 MB of lines through one connection, while the process stays as it was."""
    wire.send(
        head(system.ingest_key, "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
    )
    # Lines that are no events: they are kept, but only their beginnings.
    line = b"x" * (4 * MiB) + b"\n"
    wire.send(chunk(line))
    before = resident(system.server)
    most = before
    for _ in range(50):
        wire.send(chunk(line))
        most = max(most, resident(system.server))
    wire.send(chunk(b""))
    answer = wire.answer()
    assert answer
    assert answer.json["rejected"] == 51
    assert most - before < 100 * MiB


def test_a_stream_is_stored_as_it_comes(system: System, wire: Wire) -> None:
    before = events(system)
    wire.send(
        head(system.ingest_key, "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
    )
    wire.send(chunk(b'{"specversion":"1.0","id":"live-1","source":"/s","type":"t"}\n'))
    while events(system) == before:  # ends within the test's timeout
        pass
    wire.send(chunk(b'{"specversion":"1.0","id":"live-2","source":"/s","type":"t"}\n'))
    wire.send(chunk(b""))
    answer = wire.answer()
    assert answer
    assert answer.json["stored"] == 2


def test_a_client_that_goes_away_mid_stream_loses_only_the_open_line(
    system: System, wire: Wire
) -> None:
    before = events(system)
    wire.send(
        head(system.ingest_key, "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
    )
    wire.send(chunk(b'{"specversion":"1.0","id":"gone-1","source":"/s","type":"t"}\n{"specver'))
    while events(system) == before:
        pass
    wire.close()
    assert events(system) == before + 1


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_slow_heads_and_bodies_end_in_time(server: Evdebug, system: System) -> None:  # C8
    silent, slow, idle = Wire(server), Wire(server), Wire(server)
    stalled, page = Wire(server), Wire(server)
    began = time.monotonic()
    slow.send(b"POST /v1/events HTTP/1.1\r\nHo")
    stalled.send(head(system.ingest_key, TYPE, "Content-Length: 100") + b"[")
    page.send(head("", TYPE, "Content-Length: 100", path="/signin") + b"[")
    idle.send(head(system.ingest_key, TYPE, "Content-Length: 2") + b"[]")
    assert idle.answer()
    for wire, status, least, most in (
        (slow, 408, 9, 15),
        (stalled, 408, 28, 40),
        (page, 408, 28, 40),
    ):
        answer = wire.answer()
        assert answer
        assert answer.status == status
        assert least < time.monotonic() - began < most
    assert silent.is_closed()
    # One byte at a time does not hold a head open.
    drip = Wire(server)
    began = time.monotonic()
    try:
        while time.monotonic() - began < 30:
            drip.send(b"x")
            time.sleep(0.5)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert time.monotonic() - began < 20


def test_many_half_open_connections_hold_nobody_up(server: Evdebug) -> None:
    wires = [Wire(server) for _ in range(500)]
    for wire in wires:
        wire.send(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-")
    began = time.monotonic()
    assert post(server, "/healthz", b"", method="GET").status == 200
    assert time.monotonic() - began < 5
    for wire in wires:
        wire.close()


def test_a_client_cannot_set_our_root(server: Evdebug) -> None:
    answer = post(server, "/healthz", b"", method="GET", headers=(("Daphne-Root-Path", "/evil"),))
    assert answer.status == 200


def test_errors_name_no_software(server: Evdebug, wire: Wire) -> None:
    wire.send(b"GET /caf\xe9 HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = wire.answer()
    assert answer
    assert answer.status == 400
    for word in (b"daphne", b"twisted", b"django", b"python"):
        assert word not in answer.body.lower()
    assert "server" not in answer.headers


def test_no_socket_is_there(server: Evdebug, wire: Wire) -> None:
    wire.send(
        b"GET /ws/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = wire.answer()
    assert answer
    assert answer.status == 404
    assert "server" not in answer.headers


@pytest.mark.slow
def test_it_stops_when_told_and_finishes_first(new_server: Any) -> None:
    """SIGINT under load: what was answered is stored, and the exit code is 0."""
    import threading

    server = new_server()
    system, acknowledged = server.system("load"), 0
    key = system.ingest_key
    idle = Wire(server)
    counted = threading.Lock()

    def work(worker: int) -> None:
        nonlocal acknowledged
        try:
            for n in range(10_000):
                body = json.dumps({"type": "t", "id": f"{worker}-{n}"}).encode()
                if post(server, "/v1/events", body, key=key).status != 200:
                    return
                with counted:
                    acknowledged += 1
        except OSError:
            return

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    while acknowledged < 200:
        time.sleep(0.001)
    assert server.stop() == 0
    for worker in workers:
        worker.join()
    assert idle.is_closed()
    server.start()
    assert acknowledged <= events(system) <= acknowledged + 8
