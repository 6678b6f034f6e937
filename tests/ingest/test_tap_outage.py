"""Taps whose network is cut or whose disk is full: nothing lost or twice, healed by itself."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.test_tap_crash import BAD, COUNT, PATIENCE_S, Tapped, bodies, check
from tests.ingest.test_tap_crash_buses import BUSES, Bus, receiving
from tests.kafka import Kafka
from tests.live.proxy import Proxy
from tests.running import Evdebug

# What a tap does when it cannot go on does not depend on the database.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]


def _kafka(broker: Kafka) -> Bus:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    topic, servers = f"outage-{uuid.uuid4().hex}", {"bootstrap.servers": broker.bootstrap}
    admin = AdminClient(servers)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)

    def publish() -> None:
        producer = Producer(servers)
        for body in bodies():
            producer.produce(topic, body, partition=0)
        assert producer.flush(60) == 0

    return "kafka", {"servers": broker.bootstrap, "topics": topic}, publish


ALL: dict[str, Callable[[Any], Bus]] = {**BUSES, "kafka_broker": _kafka}


def far(kind: str, broker: Any, settings: dict[str, str]) -> tuple[Proxy, dict[str, str]]:
    """Return a network to the broker that can be cut, and the settings of a tap beyond it."""
    if kind == "kafka":
        proxy = Proxy(broker.far, at=broker.through)
        return proxy, settings | {"servers": f"127.0.0.1:{proxy.port}"}
    found = re.search(r"(?<=127\.0\.0\.1:)\d+", settings["url"])
    assert found
    proxy = Proxy(int(found[0]))
    return proxy, settings | {"url": settings["url"].replace(found[0], str(proxy.port))}


@pytest.mark.parametrize("bus", list(ALL))
def test_the_network_is_cut(
    bus: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue(bus)
    kind, settings, publish = ALL[bus](broker)
    proxy, settings = far(kind, broker, settings)
    tapped = Tapped(new_server(start=False), kind, settings)
    process = tapped.run()
    publishing = threading.Thread(target=publish)
    try:
        receiving(tapped)
        publishing.start()
        wait(process, lambda: placed(tapped) > 0)
        proxy.cut()
        wait(process, lambda: placed(tapped) > COUNT // 2)
        proxy.cut(refuse=True)
        publishing.join(PATIENCE_S)
        wait(process, lambda: tapped.sql("SELECT state FROM ingest_tap") == [("failing",)])
        proxy.heal()
        wait(process, lambda: placed(tapped) == COUNT)
    finally:
        end(process)
        proxy.close()
    agree(bus, tapped)


@pytest.mark.parametrize("bus", list(ALL))
def test_the_disk_is_full(
    bus: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    kind, settings, publish = ALL[bus](request.getfixturevalue(bus))
    full(kind, settings, publish, new_server, bus)


def test_the_disk_is_full_while_files_are_followed(
    new_server: Callable[..., Evdebug], tmp_path: Path
) -> None:
    def publish() -> None:
        (tmp_path / "a.ndjson").write_bytes(b"\n".join(bodies()) + b"\n")

    full("files", {"path": str(tmp_path)}, publish, new_server, "files")


def full(
    kind: str,
    settings: dict[str, str],
    publish: Callable[[], None],
    new_server: Callable[..., Evdebug],
    bus: str,
) -> None:
    tapped = Tapped(new_server(start=False), kind, settings)
    process = tapped.run(stderr=subprocess.PIPE)
    said = Said(process)
    try:
        receiving(tapped)
        with no_room(process.pid):
            publish()
            wait(process, lambda: said.count("the log cannot be written") > 1)
            assert placed(tapped) == 0
        wait(process, lambda: placed(tapped) == COUNT)
    finally:
        end(process)
    agree(bus, tapped)


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


def placed(tapped: Tapped) -> int:
    counts = tapped.counts()
    return counts["stored"] + counts["rejected"]


def wait(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it did not come"
        assert process.poll() is None
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE_S)


def agree(bus: str, tapped: Tapped) -> None:
    if bus == "mosquitto":  # which gives new messages before what it gives again
        assert sorted(tapped.stored()) == [n for n in range(COUNT) if n not in BAD]
    else:
        check(tapped)
