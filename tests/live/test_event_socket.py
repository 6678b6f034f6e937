"""The event socket of a running evdebug: INTERFACES' promise to programs, and its limits."""

from __future__ import annotations

import contextlib
import re
import resource
import socket as plain
import time
from http.cookiejar import CookieJar
from typing import Any
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.live.following import PATIENCE_S, frame, socket, until
from tests.running import Evdebug, System
from tests.services import wait_for


@pytest.fixture(scope="module")
def system(server: Evdebug) -> System:
    """One system for all: a test looks at what comes after `start`."""
    return server.default


@pytest.fixture
def start(system: System) -> int:
    return int(system.get("head")[1]["position"])


def send(system: System, *types: str, **rest: object) -> int:
    """Store events and return the head."""
    status, answer = system.send(*({"type": each, **rest} for each in types))
    assert status == 200, answer
    return int(answer["head"])


def positions(events: list[dict[str, object]]) -> list[object]:
    return [event["position"] for event in events]


def test_it_works(system: System, start: int) -> None:
    send(system, "seen", "missed")
    with socket(system, after=start + 1) as opened:
        assert [e["type"] for e in frame(opened)["events"]] == ["missed"]
        send(system, "new", data={"n": 12345678901234567890})
        told = frame(opened)
    assert told["head"] == start + 3
    assert told["events"] == [system.get(f"events/{start + 3}")[1]]


def test_everything_comes_in_order_and_once(system: System, start: int) -> None:
    for n in range(20):
        send(system, *[f"early-{n}"] * 50)
    with socket(system, after=start) as opened:
        head = send(system, *["late"] * 500)
        events = until(opened, head)
    assert positions(events) == list(range(start + 1, head + 1))


def test_a_query_chooses(system: System, start: int) -> None:
    with socket(system, after=start, query="type:b -stream:x") as opened:
        send(system, "a", "b")
        send(system, "b", stream="x")
        head = send(system, "a", "b")
        assert positions(until(opened, head)) == [start + 2, start + 5]


def test_large_events_come_in_frames_of_their_own(system: System, start: int) -> None:
    send(system, *["large"] * 5, data="x" * 300_000)
    with socket(system, after=start) as opened:
        frames = [frame(opened)["events"] for _ in range(5)]
    assert [positions(each) for each in frames] == [[start + n] for n in range(1, 6)]


@pytest.mark.parametrize(
    "query",
    [{"after": "-1"}, {"after": "x"}, {"query": "nofield:x"}, {"query": "handled-by:email"}],
)
def test_what_cannot_be_read_is_said(system: System, query: dict[str, Any]) -> None:
    with socket(system, **query) as opened, pytest.raises(ConnectionClosed) as closed:
        opened.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4422
    assert closed.value.rcvd.reason


def refused(system: System, headers: dict[str, str], path: str = "") -> int:
    """Return the status a handshake is refused with."""
    with pytest.raises(InvalidStatus) as failed, socket(system, path, headers=headers):
        pass
    return failed.value.response.status_code


@pytest.fixture(scope="module")
def cookie(server: Evdebug) -> str:
    """The session of somebody signed in, as a Cookie header."""
    return signed_in(server)


def signed_in(server: Evdebug) -> str:
    jar = CookieJar()
    build_opener(HTTPCookieProcessor(jar)).open(server.sign_in_link(), timeout=30).close()
    return "; ".join(f"{each.name}={each.value}" for each in jar)


def test_a_page_of_this_site_may(system: System, cookie: str, start: int) -> None:
    headers = {"Cookie": cookie, "Origin": system.server.url}
    with socket(system, after=start, headers=headers) as opened:
        send(system, "a")
        assert frame(opened)["head"] == start + 1


def test_no_other_page_may(system: System, cookie: str) -> None:
    port = system.server.port
    others = [
        None, "null", "http://evil.example", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1",
        f"https://127.0.0.1:{port}", f"http://localhost:{port}",
    ]  # fmt: skip
    for origin in others:
        headers = {"Cookie": cookie} | ({"Origin": origin} if origin else {})
        assert refused(system, headers) == 403, origin


def test_refusals_say_why(system: System, server: Evdebug) -> None:
    def key(value: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {value}"}

    other = server.system("other")
    assert refused(system, key("nonsense")) == 401
    assert refused(system, {"Origin": server.url}) == 401
    assert refused(system, key(system.ingest_key)) == 403
    assert refused(system, key(other.read_key)) == 404
    assert refused(system, key(system.read_key), "/ws/nothing") == 404


def test_signing_out_closes_at_once(system: System) -> None:
    url, cookie = system.server.url, signed_in(system.server)
    with socket(system, headers={"Cookie": cookie, "Origin": url}) as opened:
        token = re.search(r"evdebug_csrf=(\w+)", cookie) or re.search(
            r'name="csrfmiddlewaretoken" value="(\w+)"', _page(f"{url}/account", cookie)
        )
        assert token
        form = f"csrfmiddlewaretoken={token[1]}".encode()
        asked = Request(f"{url}/signout", form, {"Cookie": cookie, "Origin": url})
        build_opener().open(asked, timeout=30).close()
        with pytest.raises(ConnectionClosed) as closed:
            listen(opened)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def _page(url: str, cookie: str) -> str:
    with build_opener().open(Request(url, headers={"Cookie": cookie}), timeout=30) as page:
        return str(page.read().decode())


def test_a_message_too_big_or_too_many_end_it(system: System) -> None:
    for flood in (["x" * 100_000], ["x"] * 200):
        with pytest.raises(ConnectionClosed) as closed:
            say(system, flood)
        assert closed.value.rcvd is None or closed.value.rcvd.code in {1009, 4429, 4413}


def say(system: System, texts: list[str]) -> None:
    with socket(system) as opened:
        for text in texts:
            opened.send(text)
        listen(opened)


def listen(opened: ClientConnection) -> None:
    while True:
        opened.recv(PATIENCE_S)


def test_a_client_that_never_reads_costs_next_to_nothing(system: System, start: int) -> None:
    """200 MB are on offer to five; the kernels take some, the server keeps a page for each."""
    for _ in range(20):
        send(system, *["big"] * 20, data="x" * 100_000)
    assert system.server.process is not None
    before = memory(system.server)
    request = (
        f"GET /ws/v1/{system.slug}/events?after={start} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {system.read_key}\r\n\r\n"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(plain.socket())
            client.setsockopt(plain.SOL_SOCKET, plain.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", system.server.port))
            client.sendall(request.encode())
        with socket(system, after=start) as opened:  # it has everything, the others nothing
            until(opened, start + 400)
        assert memory(system.server) - before < 60 * 2**20
        wait_for(lambda: system.get("head")[0] == 200, "the server to answer still")


def memory(server: Evdebug) -> int:
    """Return the resident bytes of the server's process."""
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
def test_half_a_handshake_is_dropped(system: System) -> None:
    with plain.create_connection(("127.0.0.1", system.server.port)) as client:
        client.sendall(b"GET /ws/v1/x/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
        client.settimeout(PATIENCE_S)
        began = time.monotonic()
        assert b"408" in client.recv(1000)
        assert time.monotonic() - began < PATIENCE_S
