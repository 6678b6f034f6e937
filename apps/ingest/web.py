"""HTTP to other machines: to the address that was checked, without redirects, bounded in all.

No proxy of the environment is used and no redirect followed: each would lead past the guard.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
            body = answer.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{_shown(url)} stopped answering: {_why(error)}") from None
        if len(body) > limit:
            raise Unreachable(f"{_shown(url)} answers with more than {limit} bytes")
        return answer.status, body


@contextmanager
def asked(
    url: str,
    around: Surroundings,
    *,
    timeout: float,
    headers: Mapping[str, str],
    method: str = "GET",
    body: bytes | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Ask and give the answer to read from.  raises  as `get`"""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettings(f"{_shown(url)}: expected an address such as https://host/path")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = _Checked(parts.hostname, port, around, timeout=timeout,
                          tls=parts.scheme == "https")  # fmt: skip
    sent = {"User-Agent": "evdebug", "Accept-Encoding": "identity", **headers}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        sent["Authorization"] = f"Basic {b64encode(pair).decode()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        try:
            connection.request(method, target, body, headers=sent)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{_shown(url)} cannot be reached: {_why(error)}") from None
        yield answer
    finally:
        connection.close()


class _Checked(http.client.HTTPConnection):
    """A connection to the addresses the guard gives for its host, and to no other."""

    def __init__(
        self, host: str, port: int, around: Surroundings, *, timeout: float, tls: bool
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._around, self._tls = around, tls

    def connect(self) -> None:
        error: OSError | None = None
        for address in self._around.reach(self.host, self.port):
            try:
                self.sock = socket.create_connection((address, self.port), timeout=self.timeout)
                break
            except OSError as failed:
                error = failed
        else:
            raise error or OSError("the name has no address")
        if self._tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
