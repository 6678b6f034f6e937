"""Talking to Redis: one connection, commands that only read, answers as Redis gives them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis import exceptions
from redis.connection import Connection, SSLConnection

from apps.ingest.broker_url import BrokerUrl
from apps.ingest.connector import Refused, Surroundings, Unreachable

CONNECT_S = 10
ANSWER_S = 30

# Redis says by an error's first word what kind it is; these do not pass by waiting a moment.
STANDING = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)


class Wire:
    """A connection to one Redis database."""

    def __init__(self, url: BrokerUrl, around: Surroundings) -> None:
        """Connect.  raises  Unreachable, Refused"""
        self.shown = url.shown
        kind = _Tls if url.scheme == "rediss" else _Plain
        connection: Any = kind(
            host=url.host, port=url.port, db=int(url.path or 0), username=url.user or None,
            password=url.password or None, socket_timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S, socket_read_size=1 << 18, protocol=2, lib_name=None,
            lib_version=None, client_name=f"evdebug-{around.name}"[:64],
        )  # fmt: skip
        self._connection = connection
        connection.addresses = around.reach(url.host, url.port)
        with self._mended():
            connection.connect()

    def ask(self, *command: Any) -> Any:
        """Return the answer to one command.  raises  Unreachable, Refused"""
        with self._mended():
            self._connection.send_command(*command, check_health=False)
            return self._connection.read_response()

    def wait(self, seconds: float, *command: Any) -> Any:
        """Return the answer to a command that blocks for `seconds` at most."""
        with self._mended():
            self._connection.send_command(*command, check_health=False)
            return self._connection.read_response(timeout=seconds + ANSWER_S)

    def at_once(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the answers to commands carried out with nothing in between.

        What Redis answers to one of them may be an error: it is in its place, as an exception.
        """
        packed = self._connection.pack_commands([("MULTI",), *commands, ("EXEC",)])
        with self._mended():
            self._connection.send_packed_command(packed, check_health=False)
            queued = [self._queued() for _ in range(len(commands) + 1)]
            if refused := next((e for e in queued if isinstance(e, Exception)), None):
                with suppress(exceptions.ResponseError):
                    self._connection.read_response()  # EXECABORT
                raise refused
            answers: list[Any] = self._connection.read_response()
        return answers

    def _queued(self) -> Any:
        try:
            return self._connection.read_response()
        except exceptions.ResponseError as error:
            return error

    def send(self, *command: Any) -> None:
        """Send a command whose answers come one by one, with `next`."""
        with self._mended():
            self._connection.send_command(*command, check_health=False)

    def next(self, wait: float) -> Any:
        """Return what Redis says next, None when it says nothing for `wait` seconds."""
        with self._mended():
            if not self._connection.can_read(timeout=wait):
                return None
            return self._connection.read_response()

    def close(self) -> None:
        """End the connection."""
        self._connection.disconnect()

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Say with our errors what Redis or the network says."""
        try:
            yield
        except STANDING as error:
            raise Refused(f"Redis at {self.shown} refuses: {error}") from None
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            raise Unreachable(f"Redis at {self.shown} cannot be talked to: {error}") from None
        except exceptions.ResponseError as error:
            raise Refused(f"Redis at {self.shown} answers: {error}") from None


class _Plain(Connection):
    addresses: Sequence[str] = ()

    def _connect(self) -> socket.socket:
        error = OSError("it has no address")
        for address in self.addresses:
            try:
                found = socket.create_connection((address, self.port), timeout=CONNECT_S)
            except OSError as failed:
                error = failed
                continue
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            found.settimeout(ANSWER_S)
            return found
        raise error


class _Tls(SSLConnection, _Plain):
    """The name in the certificate is checked against the url's, whatever the address."""
