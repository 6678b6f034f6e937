"""Taps whose network is cut or whose disk is full: nothing lost or twice, healed by itself."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.many_buses import BUSES
from tests.ingest.test_tap_crash import COUNT, PATIENCE_S, Tapped, bodies, check
from tests.ingest.test_tap_crash_buses import agree, receiving
from tests.live.proxy import Proxy
from tests.running import Evdebug

# What a tap does when it cannot go on does not depend on the database.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]


def far(kind: str, broker: Any, settings: dict[str, str]) -> tuple[Proxy, dict[str, str]]:
    """Return a network to the broker that can be cut, and the settings of a tap beyond it."""
    if kind == "kafka":
        proxy = Proxy(broker.far, at=broker.through)
        return proxy, settings | {"servers": f"127.0.0.1:{proxy.port}"}
    found = re.search(r"(?<=127\.0\.0\.1:)\d+", settings["url"])
    assert found
    proxy = Proxy(int(found[0]))
    return proxy, settings | {"url": settings["url"].replace(found[0], str(proxy.port))}


@pytest.mark.parametrize("name", list(BUSES))
def test_the_network_is_cut(
    name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue(name)
    bus = BUSES[name](broker)
    proxy, settings = far(bus.kind, broker, bus.settings)
    tapped = Tapped(new_server(start=False), bus.kind, settings)
    process = tapped.run()
    publishing = threading.Thread(target=bus.publish, args=(bodies(),))
    try:
        receiving(tapped)
        publishing.start()
        wait(process, lambda: tapped.placed() > 0)
        proxy.cut()
        wait(process, lambda: tapped.placed() > COUNT // 2)
        proxy.cut(refuse=True)
        publishing.join(PATIENCE_S)
        wait(process, lambda: tapped.sql("SELECT state FROM ingest_tap") == [("failing",)])
        proxy.heal()
        wait(process, lambda: tapped.placed() == COUNT)
    finally:
        end(process)
        proxy.close()
    agree(name, tapped)
    bus.close()


@pytest.mark.parametrize("name", list(BUSES))
def test_the_disk_is_full(
    name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    bus = BUSES[name](request.getfixturevalue(name))
    tapped = full(bus.kind, bus.settings, lambda: bus.publish(bodies()), new_server)
    agree(name, tapped)
    bus.close()


def test_the_disk_is_full_while_files_are_followed(
    new_server: Callable[..., Evdebug], tmp_path: Path
) -> None:
    def publish() -> None:
        (tmp_path / "a.ndjson").write_bytes(b"\n".join(bodies()) + b"\n")

    check(full("files", {"path": str(tmp_path)}, publish, new_server))


def full(
    kind: str,
    settings: dict[str, str],
    publish: Callable[[], None],
    new_server: Callable[..., Evdebug],
) -> Tapped:
    """Have a tap's disk be full while it is published, and return the tap once all is stored."""
    tapped = Tapped(new_server(start=False), kind, settings)
    process = tapped.run(stderr=subprocess.PIPE)
    said = Said(process)
    try:
        receiving(tapped)
        with no_room(process.pid):
            publish()
            wait(process, lambda: said.count("the log cannot be written") > 1)
            assert tapped.placed() == 0
        wait(process, lambda: tapped.placed() == COUNT)
    finally:
        end(process)
    return tapped


@contextmanager
def no_room(pid: int) -> Iterator[None]:
    """Let a process write to no file, as a full disk would."""
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


class Said:
    """What a process says on its standard error, read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._lines = process, list[bytes]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._lines.append(line)

    def count(self, words: str) -> int:
        """Return how many lines hold `words`."""
        return sum(words.encode() in line for line in list(self._lines))


def wait(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it did not come"
        assert process.poll() is None
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE_S)
