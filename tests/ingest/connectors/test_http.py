"""Feeds and streams over HTTP, on a server of the tests' own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.ingest import buses
from apps.ingest.connector import BadSettings, Refused
from apps.ingest.connectors import http
from apps.ingest.sse import Event, Parser
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port


class Server(ThreadingHTTPServer):
    """Serves what is in `events`: as a feed that knows lastEventId, one that does not, or SSE."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.events: list[bytes] = []

    def wrapped(self) -> list[bytes]:
        return [b'{"id":"%d","n":%s}' % (n, body) for n, body in enumerate(self.events)]


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/secret" and self.headers.get("Authorization") != "Bearer canary":
            return self.send_error(401)
        if asked.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            return None
        if asked.path == "/sse":
            return self.stream()
        first = 0
        if asked.path != "/forgetful" and (last := parse_qs(asked.query).get("lastEventId")):
            first = int(last[0]) + 1
        body = b"[" + b",".join(self.server.wrapped()[first:]) + b"]"
        self.send_response(200)
        self.send_header("Content-Type", "application/cloudevents-batch+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        at = int(self.headers.get("Last-Event-ID", "-1")) + 1
        until = time.monotonic() + 20
        try:
            while time.monotonic() < until:
                for n, body in list(enumerate(self.server.wrapped()))[at:]:
                    self.wfile.write(b"id: %d\nevent: Paid\ndata: %s\n\n" % (n, body))
                    at = n + 1
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


class Contract(ConnectorContract):
    bus = "http"
    begins: ClassVar = False  # a feed is read from its beginning
    path: ClassVar[str]
    carries: ClassVar = [b"1", b'{"a":"\xc3\xa4"}', b'"' + b"x" * 100_000 + b'"']

    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(http, "PAUSE_S", 0.05)
        self.server = Server()
        thread = threading.Thread(target=lambda: self.server.serve_forever(0.05))
        thread.start()
        yield
        self.server.shutdown()
        thread.join()
        self.server.socket.close()

    def settings(self) -> dict[str, str]:
        return {"url": f"http://127.0.0.1:{self.server.server_port}{self.path}"}

    def unreachable(self) -> dict[str, str]:
        return {"url": f"http://127.0.0.1:{free_port()}/feed"}

    def publish(self, bodies: list[bytes]) -> None:
        self.server.events += bodies

    def bodies(self, connector: Any, count: int) -> list[bytes | None]:
        whole = super().bodies(connector, count)
        return [(b or b"").partition(b'"n":')[2][:-1] for b in whole]

    def unwrapped(self, records: Any) -> list[Any]:
        return [json.loads(r.body)["n"] for r in records]

    # The contract compares bodies; a feed wraps them, so these say the same of what is inside.
    def test_it_resumes_after_any_batch(self) -> None:
        self.publish([b"%d" % n for n in range(7)])
        cursor: Any = {}
        got: list[Any] = []
        for _ in range(7):
            with self.opened(cursor) as connector:
                (batch,) = self.batches(connector, 1, limit=1)
                got += self.unwrapped(batch.records)
                cursor = batch.cursor
        assert got == list(range(7))

    def test_what_was_not_settled_comes_again(self) -> None:
        self.publish([b"%d" % n for n in range(5)])
        with self.opened() as connector:
            self.unsettled(connector, 2)
        with self.opened() as connector:
            again = [r for b in self.batches(connector, 5) for r in b.records]
        assert self.unwrapped(again) == list(range(5))

    def test_what_was_stored_but_not_settled_is_known(self) -> None:
        self.publish([b"1", b"1", b"2", b"1"])
        with self.opened() as connector:
            (stored,) = self.unsettled(connector, 2)
        with self.opened(stored.cursor) as connector:
            rest = [r for b in self.batches(connector, 2) for r in b.records]
        assert self.unwrapped(rest) == [2, 1]


class TestFeed(Contract):
    path = "/feed"

    def test_it_authenticates_and_says_when_it_cannot(self) -> None:
        self.publish([b"1"])
        url = f"http://127.0.0.1:{self.server.server_port}/secret"
        with self.opened(url=url, authorization="Bearer canary") as connector:
            assert self.bodies(connector, 1) == [b"1"]
        with self.opened(url=url) as connector, pytest.raises(Refused, match="401"):
            connector.read(limit=1, wait=1)

    def test_it_follows_nobody_elsewhere(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_port}/moved"
        assert not buses.connector("http", {"url": url}, self.around()).check().ok

    @pytest.mark.parametrize("url", ["ftp://x/y", "http://", "file:///etc/passwd"])
    def test_other_addresses_are_refused(self, url: str) -> None:
        with pytest.raises(BadSettings):
            self.make(url=url)


class TestForgetfulFeed(Contract):
    path = "/forgetful"


class TestStream(Contract):
    path = "/sse"


def test_events_of_a_stream_in_any_pieces() -> None:
    text = (
        b"\xef\xbb\xbf: hello\r\n\r\nid: 1\r\nevent: Paid\r\ndata: a\r\ndata: b\r\n\r\n"
        b"data:c\n\nid: 2\n\ndata\n\nretry: 5\nnonsense\ndata: d\n\ndata: cut off"
    )
    expected = [Event(b"a\nb", "Paid", "1"), Event(b"c", "", "1"), Event(b"", "", "2"),
                Event(b"d", "", "2")]  # fmt: skip
    for size in (1, 2, 3, 7, len(text)):
        parser, found = Parser(), []
        for at in range(0, len(text), size):
            found += list(parser.feed(text[at : at + size]))
        assert found == expected, size
