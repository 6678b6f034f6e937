"""Talking to a running server without a client's manners: every byte is the test's own."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from tests.running import Evdebug

HOST = "127.0.0.1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error answer, which has exactly `code` and `detail`."""
        assert set(self.json) == {"code", "detail"}, self.body
        return str(self.json["code"])


def post(
    server: Evdebug,
    path: str,
    body: bytes,
    *,
    key: str = "",
    content_type: str | None = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    method: str = "POST",
) -> Answer:
    """Send one request and return the answer."""
    connection = HTTPConnection(HOST, server.port, timeout=60)
    connection.putrequest(method, path, skip_accept_encoding=True)
    if key:
        connection.putheader("Authorization", f"Bearer {key}")
    if content_type is not None:
        connection.putheader("Content-Type", content_type)
    for name, value in headers:
        connection.putheader(name, value.encode("latin-1"))
    connection.putheader("Content-Length", str(len(body)))
    try:
        connection.endheaders()
        connection.send(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused before it was all sent; the answer is there all the same
    with connection.getresponse() as response:
        names = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, names, response.read())
    connection.close()
    return answer


class Wire:
    """A bare connection to a server."""

    def __init__(self, server: Evdebug, *, timeout: float = 30) -> None:
        self.socket = socket.create_connection((HOST, server.port), timeout=timeout)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer | None:
        """Return the next answer; None when the connection is closed instead."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._receive()
            if not data:
                return None
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        size = int(headers.get("content-length", 0))
        while len(body) < size and (data := self._receive()):
            body += data
        return Answer(int(first.split()[1]), headers, body[:size])

    def is_closed(self) -> bool:
        """Return whether the server closes the connection, rather than say anything."""
        return self._receive() == b""

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65_536)
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self.socket.close()


def head(key: str, *lines: str, path: str = "/v1/events", method: str = "POST") -> bytes:
    """Return the head of a request, with these header lines besides its key."""
    every = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {key}", *lines]
    return "\r\n".join([*every, "", ""]).encode("latin-1")
