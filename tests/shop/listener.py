"""A tiny evdebug: a server that keeps what is sent to it and answers what it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


class Impatient(Event):
    """A stop flag nobody waits for: what was to be waited is only noted."""

    def __init__(self, *, stop_after: int = 1_000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.stop_after = stop_after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) >= self.stop_after:
            self.set()
        return self.is_set()


@dataclass
class Listener:
    """`answers` are given first, as (status, headers); after them everything is stored.

    A status of 0 closes the connection without an answer.
    """

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # path, type, key
    entries: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rejects: int = 0

    def take(self, path: str, kind: str, key: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        self.requests.append((path, kind, key))
        if self.answers:
            status, headers = self.answers.pop(0)
            return status, headers, {"code": "busy", "detail": "later"}
        text = body.decode()
        found = [json.loads(line) for line in text.splitlines()] if "ndjson" in kind else None
        found = json.loads(text) if found is None else found
        self.entries += [(path, entry) for entry in found]
        stored = len(found) - self.rejects
        answer = {
            "received": len(found),
            "stored": stored,
            "duplicates": 0,
            "rejected": self.rejects,
            "head": len(self.entries),
            "positions": [],
        }
        if self.rejects:
            answer["problems"] = [{"index": 0, "code": "missing_type", "detail": "type is missing"}]
        return 200, {}, answer


@contextmanager
def listening() -> Iterator[Listener]:
    """Serve a Listener on a free port of this machine."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out in two; the second would wait 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind, key = self.headers["Content-Type"], self.headers["Authorization"]
            status, headers, answer = listener.take(self.path, kind, key, body)
            if not status:
                self.close_connection = True
                return
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    listener.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
