"""HTTP to other machines: to the address that was checked, without redirects, bounded in all.

No proxy of the environment is used and no redirect followed: each would lead past the guard.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from apps.ingest.connector import BadSettings, Surroundings, Unreachable


def get(
    url: str,
    around: Surroundings,
    *,
    limit: int,
    timeout: float,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Return the status and body of an answer.

    raises  Unreachable, also for an answer of more than `limit` bytes; Refused; BadSettings
    """
    with asked(url, around, timeout=timeout, headers=headers or {}) as answer:
        try:
            body = _all(answer, limit)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{_shown(url)} stopped answering: {_why(error)}") from None
        if len(body) > limit:
            raise Unreachable(f"{_shown(url)} answers with more than {limit} bytes")
        return answer.status, body


WORDS = 200  # letters of what a server said instead of an answer


class Answer(NamedTuple):
    """What a server answered. The names of `headers` are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def post(
    url: str, around: Surroundings, body: bytes, headers: Mapping[str, str], *, limit: int,
    within: float,
) -> Answer:  # fmt: skip
    """Send a body and return the answer, all of it within a time and a size.

    raises  Unreachable, also for an answer of more than `limit` bytes; Refused; BadSettings
    """
    asking = asked(
        url, around, timeout=within, within=within, headers=headers, method="POST", body=body
    )
    with asking as answer:
        try:
            found = _all(answer, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{_shown(url)} stopped answering: {_why(error)}") from None
        if len(found) > limit:
            raise Unreachable(f"{_shown(url)} answers with more than {limit} bytes")
        said = [(n.lower().encode(), v.encode("latin-1")) for n, v in answer.getheaders()]
        return Answer(answer.status, said, found)


def _all(answer: http.client.HTTPResponse, limit: int) -> bytes:
    """Return what was answered, one byte more than `limit` at most.

    raises  OSError where it ends before it should: `read` of a number of bytes does not
    """
    found = answer.read(limit + 1)
    if answer.length and len(found) <= limit:
        raise OSError(f"{answer.length} bytes are missing")
    return found


@contextmanager
def asked(
    url: str,
    around: Surroundings,
    *,
    timeout: float,
    headers: Mapping[str, str],
    method: str = "GET",
    body: bytes | None = None,
    within: float | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Ask and give the answer to read from.

    timeout  seconds in which something must happen; `within`, those all of it may take
    raises   as `get`
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettings(f"{_shown(url)}: expected an address such as https://host/path")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = Guarded(parts.hostname, port, around, timeout=timeout,
                          tls=parts.scheme == "https")  # fmt: skip
    sent = {"User-Agent": "evdebug", "Accept-Encoding": "identity", **headers}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        sent["Authorization"] = f"Basic {b64encode(pair).decode()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    watch = threading.Timer(within or 0, connection.cut)
    began = time.monotonic()
    if within is not None:
        watch.daemon = True
        watch.start()
    try:
        try:
            connection.request(method, target, body, headers=sent)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            _in_time(url, began, within)
            raise Unreachable(f"{_shown(url)} cannot be reached: {_why(error)}") from None
        try:
            yield answer
        finally:
            _in_time(url, began, within)  # cut: what was read may be half of it
    finally:
        watch.cancel()
        connection.close()


class Guarded(http.client.HTTPConnection):
    """A connection to the addresses the guard gives for its host, and to no other."""

    def __init__(
        self, host: str, port: int, around: Surroundings, *, timeout: float, tls: bool
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._around, self._tls = around, tls
        self._held: socket.socket | None = None

    def cut(self) -> None:
        """End the connection under whoever reads or writes, from another thread."""
        for found in (self._held, self.sock):
            if found is not None:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        error: OSError | None = None
        for address in self._around.reach(self.host, self.port):
            try:
                self.sock = socket.create_connection((address, self.port), timeout=self.timeout)
                self._held = self.sock  # an answer that closes it keeps it, we lose `sock`
                break
            except OSError as failed:
                error = failed
        else:
            raise error or OSError("the name has no address")
        if self._tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def _in_time(url: str, began: float, within: float | None) -> None:
    if within is not None and time.monotonic() - began >= within:
        raise Unreachable(f"{_shown(url)} did not answer within {within:g} s")


def _why(error: Exception) -> str:
    text = str(getattr(error, "strerror", "") or error or type(error).__name__)
    return "".join(c if c.isprintable() else "?" for c in text[:WORDS])


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
