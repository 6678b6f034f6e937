"""`python -m bench.client`: an HTTP client that keeps many connections busy, in its own process.

Reads one JSON object from stdin (host, port, path, headers, connections, file of bodies), sends
every body once over keep-alive connections, and prints rate, latencies and statuses. Lean on
purpose: the machine's other core belongs to the server.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

TIMEOUT_S = 600


class Connection(asyncio.Protocol):
    """One connection: sends the next request as soon as the answer to the last one is complete."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.received = bytearray()
        self.sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self) -> None:
        """Send the next request, or end when there is none."""
        request = next(self.load.requests, None)
        if request is None:
            self.done.set_result(None)
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return
        lines = bytes(self.received[:head]).lower().split(b"\r\n")
        lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")]
        if not lengths:
            raise ValueError(f"an answer without Content-Length: {lines}")
        length = lengths[0]
        if len(self.received) < head + 4 + length:
            return
        self.load.seconds.append(time.perf_counter() - self.sent_at)
        self.load.statuses[int(lines[0].split()[1])] += 1
        self.received.clear()
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed a connection"))


class Load:
    """All requests of one measurement, and what came of them."""

    def __init__(self, head: bytes, bodies: list[bytes]) -> None:
        self.requests = (head % len(body) + body for body in bodies)
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()


def head(host: str, path: str, headers: dict[str, str]) -> bytes:
    """Return the head of every request, with a place for the length of its body."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in headers.items())]
    text = "\r\n".join([*lines, "Content-Length: "]).replace("%", "%%")
    return (text + "%d\r\n\r\n").encode()


async def run(options: dict[str, Any]) -> dict[str, Any]:
    """Open the connections, send everything, and return what was measured."""
    bodies = Path(options["bodies"]).read_bytes().split(b"\n")[:-1]
    if options.get("packed"):  # what is no text
        bodies = [base64.b64decode(body) for body in bodies]
    load = Load(head(options["host"], options["path"], options["headers"]), bodies)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(load), options["host"], options["port"]))[
            1
        ]
        for _ in range(options["connections"])
    ]
    started = time.perf_counter()
    for connection in connections:
        connection.send()
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(connection.done for connection in connections))
    took = time.perf_counter() - started
    ordered = sorted(load.seconds)
    return {
        "rate": len(ordered) / took,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
        "statuses": load.statuses,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
