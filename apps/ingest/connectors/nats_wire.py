"""The NATS client protocol, as far as listening needs it: one connection, read when asked to.

Not a client library: those read by themselves into queues of their own, where a tap must stop
reading when it cannot store, and fold headers into a dict, where repeats must be kept.
"""

from __future__ import annotations

import json
import secrets
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from apps.ingest.broker_url import BrokerUrl, tls_context
from apps.ingest.connector import Refused, Surroundings, Unreachable

CONNECT_S = 10
ANSWER_S = 10
CHUNK = 1 << 18
LINE_MAX = 1 << 16
REFUSALS = ("authorization", "permissions", "authentication", "not a valid", "account")


class Message(NamedTuple):
    subject: str
    sid: int
    reply: str
    head: bytes  # the header block as it came, b"" for none
    body: bytes

    @property
    def status(self) -> int:
        """The number in the first line of a header block, 0 for none."""
        words = self.head.partition(b"\r\n")[0].split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


class Wire:
    """A connection to one NATS server."""

    def __init__(self, url: BrokerUrl, around: Surroundings) -> None:
        """Connect and sign in.  raises  Unreachable, Refused"""
        self.shown = url.shown
        self._buffer = bytearray()
        self._came: deque[Message] = deque()
        self._sids = 0
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._socket = _connected(url, around.reach(url.host, url.port))
        try:
            self._sign_in(url, around)
            self._answers = self.subscribe(f"{self._inbox}.*")
        except BaseException:
            self.close()
            raise

    def _sign_in(self, url: BrokerUrl, around: Surroundings) -> None:
        self.server = json.loads(self._line(b"INFO "))
        if self.server.get("tls_required") or url.scheme == "tls":
            self._socket = self._wrapped(url)
        words: dict[str, Any] = {
            "verbose": False, "pedantic": False, "headers": True, "no_responders": True,
            "lang": "python", "version": "1", "protocol": 1, "name": f"evdebug {around.name}",
        }  # fmt: skip
        if url.password:
            words |= {"user": url.user, "pass": url.password}
        elif url.user:
            words["auth_token"] = url.user
        self._send(b"CONNECT " + json.dumps(words).encode() + b"\r\nPING\r\n")
        self._line(b"PONG")

    def _wrapped(self, url: BrokerUrl) -> ssl.SSLSocket:
        try:
            return tls_context().wrap_socket(self._socket, server_hostname=url.host)
        except OSError as error:
            raise self._lost(error) from None

    def _line(self, start: bytes) -> bytes:
        """Return what follows `start` in the next line, which must begin so."""
        while b"\r\n" not in self._buffer:
            if not self._receive(ANSWER_S) or len(self._buffer) > LINE_MAX:
                raise Unreachable(f"What listens at {self.shown} does not speak as NATS does.")
        line, _, rest = bytes(self._buffer).partition(b"\r\n")
        self._buffer[:] = rest
        if line.startswith(b"-ERR"):
            raise self._said(line)
        if not line.startswith(start):
            raise Unreachable(f"What listens at {self.shown} does not speak as NATS does.")
        return line[len(start) :]

    def subscribe(self, subject: str) -> int:
        """Listen to a subject from now on; return the number its messages bear."""
        self._sids += 1
        self._send(f"SUB {subject} {self._sids}\r\n".encode())
        return self._sids

    def publish(self, subject: str, body: bytes = b"", reply: str = "") -> None:
        """Send a request to the server's own subjects."""
        self._send(
            f"PUB {subject} {reply + ' ' if reply else ''}{len(body)}\r\n".encode() + body + b"\r\n"
        )

    def inbox(self) -> str:
        """Return a subject of our own, which is listened to."""
        return f"{self._inbox}.{secrets.token_hex(6)}"

    def ask(self, subject: str, body: Any = None) -> dict[str, Any]:
        """Return the answer of a JetStream API; {} where it says that there is no such thing.

        raises  Unreachable, Refused
        """
        inbox = self.inbox()
        self.publish(subject, b"" if body is None else json.dumps(body).encode(), inbox)
        until = time.monotonic() + ANSWER_S
        kept: list[Message] = []
        try:
            while (left := until - time.monotonic()) > 0:
                message = self.next(left)
                if message is None:
                    break
                if message.subject == inbox:
                    return self._answer(subject, message)
                kept.append(message)
        finally:
            self._came.extendleft(reversed(kept))
        raise Unreachable(f"NATS at {self.shown} does not answer {subject}.")

    def _answer(self, subject: str, message: Message) -> dict[str, Any]:
        if message.status == 503:
            raise Refused(f"NATS at {self.shown} has no JetStream for this account.")
        answer: dict[str, Any] = json.loads(message.body)
        error = answer.get("error")
        if error and error.get("code") == 404:
            return {}
        if error:
            raise Refused(f"NATS at {self.shown} answers: {error.get('description')}")
        return answer

    def flush(self) -> None:
        """Return once the server has done all that was sent to it."""
        inbox = self.inbox()
        self.publish(inbox)
        until, kept = time.monotonic() + ANSWER_S, list[Message]()
        while (message := self.next(max(until - time.monotonic(), 0))) is not None:
            if message.subject == inbox:
                self._came.extendleft(reversed(kept))
                return
            kept.append(message)
        raise Unreachable(f"NATS at {self.shown} does not answer.")

    def next(self, wait: float) -> Message | None:
        """Return the next message, None when there is none for `wait` seconds."""
        until = time.monotonic() + wait
        while not self._came:
            self._parse()
            if self._came:
                break
            left = max(until - time.monotonic(), 0)
            if not self._receive(left) and left <= 0:
                return None
        return self._came.popleft()

    def _receive(self, wait: float) -> bool:
        try:
            pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
            if not pending and not select.select([self._socket], [], [], wait)[0]:
                return False
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise self._lost(error) from None
        if not data:
            raise Unreachable(f"NATS at {self.shown} closed the connection.")
        self._buffer += data
        return True

    def _parse(self) -> None:
        """Take all whole messages out of the buffer."""
        buffer, at, came = self._buffer, 0, self._came
        while (end := buffer.find(b"\r\n", at)) >= 0:
            line = bytes(buffer[at:end])
            start = end + 2
            if line[:4] == b"MSG " or line[:5] == b"HMSG ":
                words = line.split()
                size = int(words[-1])
                stop = start + size
                if len(buffer) < stop + 2:
                    break
                came.append(_message(words, bytes(buffer[start:stop])))
                at = stop + 2
                continue
            at = start
            if line[:4].upper() == b"PING":
                self._send(b"PONG\r\n")
            elif line[:4] == b"-ERR":
                del buffer[:at]
                raise self._said(line)
        del buffer[:at]

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from None

    def _said(self, line: bytes) -> Unreachable | Refused:
        text = line[4:].decode("utf-8", "replace").strip(" '")
        if any(word in text.lower() for word in REFUSALS):
            return Refused(f"NATS at {self.shown} refuses: {text}.")
        return Unreachable(f"NATS at {self.shown} says: {text}.")

    def _lost(self, error: OSError) -> Unreachable:
        return Unreachable(f"NATS at {self.shown} cannot be talked to: {error}")

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _message(words: list[bytes], data: bytes) -> Message:
    # MSG subject sid [reply] size; HMSG subject sid [reply] size-of-headers size
    headed = words[0] == b"HMSG"
    reply = words[3].decode("utf-8", "backslashreplace") if len(words) == 5 + headed else ""
    cut = int(words[-2]) if headed else 0
    subject = words[1].decode("utf-8", "backslashreplace")
    return Message(subject, int(words[2]), reply, data[:cut], data[cut:])


def headers(head: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a message, in order, repeats kept."""
    found = []
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.append((name.decode("utf-8", "backslashreplace"), value.strip()))
    return tuple(found)


def content_type(heads: Iterable[tuple[str, bytes]]) -> str:
    """Return what the headers say of the body, "" where they say nothing."""
    for name, value in heads:
        if name.lower() == "content-type":
            return value.decode("utf-8", "replace")
    return ""


def _connected(url: BrokerUrl, addresses: list[str]) -> socket.socket:
    error: OSError | None = None
    for address in addresses:
        try:
            found = socket.create_connection((address, url.port), timeout=CONNECT_S)
        except OSError as failed:
            error = failed
            continue
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return found
    raise Unreachable(f"NATS at {url.shown} cannot be reached: {error or 'it has no address'}")
