"""`python -m bench.sockets`: many WebSockets in one process, which count what they receive.

Reads one JSON object from stdin (port, path, key, many, seconds, pid of the server), opens the
sockets, then measures for so long: messages received, the server's processor time meanwhile, and
how old each message's `time` (ms since 1970) is when it arrives.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

TIME = re.compile(rb'"time":([0-9.]+)')
ROWS = re.compile(rb'"rows":"[^"]')
TICKS = 100  # of a processor a second, as /proc counts
WANTED = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Authorization: Bearer {key}\r\n\r\n"
)
ANSWER = 16  # frames for one answer, as the pages do


class Socket(asyncio.Protocol):
    """One socket: reads frames, answers pings and every few frames."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.open, self.frames = load, bytearray(), False, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(WANTED.format(**self.load.options).encode())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self.buffer.startswith(b"HTTP/1.1 101"), bytes(self.buffer[:200])
            del self.buffer[: end + 4]
            self.open = True
            self.load.opened += 1
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self.buffer) < 2:
            return None
        code, size, at = self.buffer[0] & 15, self.buffer[1] & 127, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self.buffer[2:at])
        if len(self.buffer) < at + size:
            return None
        body = bytes(self.buffer[at : at + size])
        del self.buffer[: at + size]
        return code, body

    def _take(self, code: int, body: bytes) -> None:
        if code == 9:
            self._send(10, body)
        if code not in (1, 2):
            return
        self.frames += 1
        self.load.take(body)
        if self.frames % ANSWER == 0 and self.load.options.get("answers"):
            self._send(1, str(self.frames).encode())

    def _send(self, code: int, body: bytes) -> None:
        # Masked with zeros, which changes nothing and is allowed.
        self.transport.write(bytes([128 | code, 128 | len(body)]) + bytes(4) + body)


class Load:
    """All the sockets, and what they received since the measuring began."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.opened, self.messages = options, 0, 0
        self.delays: list[float] = []
        self.measuring = False

    def take(self, body: bytes) -> None:
        if not self.measuring:
            return
        self.messages += 1
        found = TIME.search(body, 0, 200)
        if found and ROWS.search(body):
            self.delays.append(time.time() * 1000 - float(found[1]))

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        before = memory(self.options["pid"])
        for n in range(self.options["many"]):
            await loop.create_connection(lambda: Socket(self), "127.0.0.1", self.options["port"])
            if n % 50 == 49:
                await asyncio.sleep(0.05)
        while self.opened < self.options["many"]:
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        self.measuring, began = True, processor(self.options["pid"])
        await asyncio.sleep(self.options["seconds"])
        used, self.measuring = processor(self.options["pid"]) - began, False
        ranked = sorted(self.delays) or [0.0]
        return {
            "messages": self.messages, "seconds": used,
            "p95": ranked[int(len(ranked) * 0.95)], "p99": ranked[int(len(ranked) * 0.99)],
            "grown": memory(self.options["pid"]) - before,
        }  # fmt: skip


def processor(pid: int) -> float:
    """Return the processor time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    print(json.dumps(asyncio.run(Load(json.load(sys.stdin)).run())))
