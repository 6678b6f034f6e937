"""A network that can be cut and can stall, between a client and a server."""

from __future__ import annotations

import contextlib
import socket
import threading

CHUNK = 65536


class Proxy:
    """Passes bytes on between its own port and another, in order, until it is told not to."""

    def __init__(self, port: int, at: int = 0) -> None:
        """Pass on to `port`, from the port `at` or one that is free."""
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", at), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._refusing = self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self, *, refuse: bool = False) -> None:
        """Break every connection there is; `refuse` new ones until `heal`."""
        self._refusing = refuse
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def stall(self) -> None:
        """Pass nothing on, and break nothing, until `heal`."""
        self._flowing.clear()

    def heal(self) -> None:
        """Pass everything on again, what was held first."""
        self._refusing = False
        self._flowing.set()

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.heal()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to), timeout=10)
                server.settimeout(None)
            except OSError:
                with contextlib.suppress(OSError, UnboundLocalError):
                    client.close()
                continue
            with self._lock:
                self._pairs.add((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
