"""A client whose line breaks all the time receives exactly the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from tests.live.following import socket
from tests.live.proxy import Proxy
from tests.running import Evdebug, System

TIMES = 200
SENT = 4000


@pytest.fixture
def proxy(server: Evdebug) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.close()


class Follower:
    """Follows a system through a proxy, and comes back with the last position it has."""

    def __init__(self, system: System, proxy: Proxy, query: str = "") -> None:
        self.system, self.proxy, self.query = system, proxy, query
        self.events: list[dict[str, Any]] = []
        self.breaks = 0

    @property
    def last(self) -> int:
        return int(self.events[-1]["position"]) if self.events else 0

    def run(self, enough: Callable[[], bool], breaking: Random) -> None:
        """Receive until there is enough; the line is cut after each frame or two, TIMES times.

        At once, so that what is on its way is lost.
        """
        while not enough():
            try:
                self._receive(enough, breaking.randrange(1, 3))
            except (WebSocketException, OSError, EOFError, TimeoutError):
                pass

    def _receive(self, enough: Callable[[], bool], frames: int) -> None:
        port = self.proxy.port
        with socket(self.system, port=port, after=self.last, query=self.query) as opened:
            while not enough():
                self.events += json.loads(opened.recv(1))["events"]
                frames -= 1
                if not frames and self.breaks < TIMES:
                    self.breaks += 1
                    self.proxy.cut()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("query", ["", "type:even"])
def test_200_random_breaks(server: Evdebug, proxy: Proxy, query: str) -> None:
    system = server.system("all" if not query else "some")
    follower = Follower(system, proxy, query)
    random = Random(6)

    def produce() -> None:
        sent = 0
        while sent < SENT or follower.breaks < TIMES:
            many = random.randrange(1, 40)
            system.send(*({"type": ("even", "odd")[n % 2], "data": n} for n in range(many)))
            sent += many
        system.send({"type": "odd"}, {"type": "even"})
        done.append(system.get("head")[1]["position"])

    done: list[int] = []
    producer = threading.Thread(target=produce)
    producer.start()
    try:
        follower.run(lambda: bool(done) and follower.last >= done[0], random)
    finally:
        follower.breaks = TIMES
        producer.join(120)
    log: list[dict[str, Any]] = []
    while len(log) == 0 or log[-1]["position"] < done[0]:
        after = log[-1]["position"] if log else 0
        path = f"events?order=asc&limit=1000&after={after}&query={query}"
        page = system.get(path)[1]["events"]
        assert page
        log += page
    assert follower.events == log
