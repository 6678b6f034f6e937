"""Sockets: what a frame costs beside a Channels group send, and what many or bad clients cost."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.harness import (
    ROOT,
    Bench,
    Section,
    clean_environment,
    interleaved,
    limit,
    ratio,
    say,
)
from bench.sockets import WANTED, memory, processor
from bench.watching import watched
from tests import services
from tests.running import Evdebug, System
from tests.services import free_port, listens, wait_until

EVERY_S = 0.2
COST_GOAL = 0.125
MB = 2**20


def run(bench: Bench) -> Section:
    """Measure against a running evdebug, and the usual consumer under the same server."""
    many, idle = bench.scaled(500, 20), bench.scaled(2000, 50)
    section = Section(
        "live",
        f"{many} sockets of the Live page with its tail, on one process, while an event comes "
        "every 200 ms; beside them a Channels consumer with a group send of 2 kB in memory, under "
        "the same server. The clients are in a process of their own and share the two cores; they "
        "answer every sixteenth frame on both sides, as the pages do. Our side also stores the "
        "events: of both sides what the process uses without a socket is taken off a message's "
        "time, and the whole of it is beside it.",
    )
    folder = bench.folder / "live"
    settings = {"EVDEBUG_USER_SOCKETS": "10000"}
    with Evdebug(folder, settings=settings) as server, _usual(bench) as usual:
        system = server.default
        _cost(bench, section, system, usual, many)
        _idle(section, system, idle)
        _never(bench, section, system)
        _viewer(bench, section, system)
        _page(bench, section, system)
    return section


def _cost(
    bench: Bench, section: Section, system: System, usual: tuple[int, int], many: int
) -> None:
    seconds = bench.scaled(10, 2)
    delays: list[float] = []
    whole: tuple[list[float], list[float]] = [], []

    def ours() -> float:
        with _events(system):
            alone = _alone(_pid(system), seconds)
            told = _sockets(
                system, f"/ws/{system.slug}/live?after=0&tail=", many, seconds, answers=1
            )
        delays.append(float(told["p99"]))
        whole[0].append(_per_message(told))
        return _per_message(told, alone)

    def theirs() -> float:
        alone = _alone(usual[1], seconds)
        told = _client(
            port=usual[0], pid=usual[1], path="/", key="", many=many, seconds=seconds, answers=1
        )
        whole[1].append(_per_message(told))
        return _per_message(told, alone)

    what = f"processor time a message, {many} sockets"
    costs = interleaved(bench.rounds, ours, theirs)
    section.rows += [
        ratio(what, *costs, unit="µs", at_most=COST_GOAL),
        ratio("the whole process, a message", *whole, unit="µs"),
    ]
    section.rows.append(limit("from event to socket, p99", max(delays), unit="ms", at_most=150))


def _per_message(told: dict[str, Any], alone: float = 0) -> float:
    return 1e6 * (float(told["seconds"]) - alone) / max(1, int(told["messages"]))


def _alone(pid: int, seconds: float) -> float:
    """Return the processor time a process uses in so many seconds while nobody is connected."""
    time.sleep(1)
    before = processor(pid)
    time.sleep(seconds)
    return processor(pid) - before


def _idle(section: Section, system: System, many: int) -> None:
    told = _sockets(system, f"/ws/v1/{system.slug}/events?after=999999", many, 1)
    what = f"memory of {many} idle event sockets"
    section.rows.append(limit(what, told["grown"] / MB, unit="MB", at_most=250))


def _never(bench: Bench, section: Section, system: System) -> None:
    """One client that asks for everything and never reads."""
    for _ in range(bench.scaled(40, 2)):
        system.send(*({"type": "Big", "data": "x" * 50_000} for _ in range(50)))
    pid = _pid(system)
    before = memory(pid)
    path = f"/ws/v1/{system.slug}/events?after=0"
    asked = WANTED.format(path=path, port=system.server.port, key=system.read_key)
    with socket.create_connection(("127.0.0.1", system.server.port)) as client:
        client.sendall(asked.encode())
        time.sleep(bench.scaled(15, 1))
        grown = (memory(pid) - before) / MB
    section.rows.append(
        limit("memory one client costs that never reads 100 MB", grown, unit="MB", at_most=20)
    )


def _viewer(bench: Bench, section: Section, system: System) -> None:
    """Storing in batches, with and without somebody on the Live page."""
    batches, seen = bench.scaled(60, 3), []

    def alone() -> float:
        return _stored(system, batches)

    def watched() -> float:
        rate: list[float] = []
        storing = threading.Thread(target=lambda: rate.append(_stored(system, batches, wait=3)))
        storing.start()
        path = f"/ws/{system.slug}/live?after=0&tail=&view=rate"
        seen.append(_sockets(system, path, 1, bench.scaled(8, 2), answers=1)["p95"])
        storing.join()
        return float(rate[0])

    rates = interleaved(bench.rounds, watched, alone)
    what = "events stored at 5 000/s, watched beside unwatched"
    section.rows.append(ratio(what, *rates, unit="events/s", at_least=0.95))
    section.rows.append(
        limit("from event to socket at 5 000 events/s, p95", max(seen), unit="ms", at_most=500)
    )


def _page(bench: Bench, section: Section, system: System) -> None:
    """A browser on the page while 5 000 events a second go in."""
    seconds = bench.scaled(600, 4)
    storing = threading.Thread(target=_stored, args=(system, 10 * (seconds + 6)))
    storing.start()
    try:
        found = watched(system, seconds)
    except services.Missing as missing:
        say(f"  without a browser: {missing}")
        return
    finally:
        storing.join()
    half = f"in the second of two halves of {seconds / 2:g} s at 5 000 events/s"
    section.rows += [
        limit("main thread of a browser, busy at 5 000 events/s", 100 * found.busy, unit="%",
              at_most=30),
        limit(f"the page grows {half}", max(0, found.page) / MB, unit="MB", at_most=5),
        limit(f"the server grows {half}", max(0, found.server) / MB, unit="MB", at_most=20),
    ]  # fmt: skip


def _stored(system: System, batches: int, wait: float = 0) -> float:
    """Send batches of 500 at 5 000 events a second; return how many a second were stored."""
    time.sleep(wait)
    began = time.perf_counter()
    for n in range(batches):
        system.send(
            *({"type": f"T{i % 20}", "source": f"/s{i % 5}", "data": i} for i in range(500))
        )
        time.sleep(max(0.0, began + (n + 1) / 10 - time.perf_counter()))
    return batches * 500 / (time.perf_counter() - began)


@contextmanager
def _events(system: System) -> Iterator[None]:
    """Send an event every 200 ms until the end of the block."""
    done = threading.Event()

    def produce() -> None:
        while not done.wait(EVERY_S):
            system.send({"type": "Tick", "source": "/clock", "data": {"text": "x" * 1500}})

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        yield
    finally:
        done.set()
        producer.join()


def _sockets(system: System, path: str, many: int, seconds: float, **rest: Any) -> dict[str, Any]:
    return _client(
        port=system.server.port, pid=_pid(system), path=path, key=system.read_key, many=many,
        seconds=seconds, **rest,
    )  # fmt: skip


def _pid(system: System) -> int:
    assert system.server.process is not None
    return system.server.process.pid


def _client(**options: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.sockets"], cwd=ROOT, input=json.dumps(options).encode(),
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@contextmanager
def _usual(bench: Bench) -> Iterator[tuple[int, int]]:
    """Give port and process of the usual consumer."""
    port, log = free_port(), bench.folder / "fanout.log"
    environment = clean_environment() | {"EVDEBUG_DATA": str(bench.folder / "fanout")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.serve", "fanout", str(port)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until(lambda: listens(port), process, log)
        yield port, process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
