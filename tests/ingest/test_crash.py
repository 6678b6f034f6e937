"""Killed at any moment: nothing acknowledged is lost, nothing is twice, positions have no gap.

The reliability matrix' A1 to A7. Clients behave as good clients do: what was not acknowledged they
send again, with the same id.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

import psycopg
import pytest

from tests.running import ROOT, Evdebug, System
from tests.services import die_with_parent, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

FAILPOINTS = (
    "received", "queued", "before_begin", "mid_batch", "before_commit", "after_commit",
    "before_answer",
)  # fmt: skip
TIMES = (1, 2, 7)
ROUNDS = 200
WORKERS = 6


class Doors:
    """The doors of an evdebug in a process that is killed and started again."""

    def __init__(self, system: System) -> None:
        self.system = system
        server = system.server
        self._maker = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.crashing", str(server.port)], cwd=ROOT,
            env=server.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        self._pid = 0
        self._code: int | None = None
        self._asking = threading.Lock()

    def start(self, failpoint: str = "") -> None:
        assert self._maker.stdin
        self._code = None
        self._maker.stdin.write(failpoint.encode() + b"\n")
        self._pid = self._told()
        assert self._pid > 1, "it did not start"

    def died(self) -> bool:
        """Whether it is dead. May be asked by several threads."""
        with self._asking:
            if self._code is None and select.select([self._maker.stdout or 0], [], [], 0)[0]:
                self._code = self._told()
            return self._code is not None

    def wait(self) -> None:
        """Return once it is dead of SIGKILL."""
        wait_for(self.died, "its death")
        assert self._code == -signal.SIGKILL

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """End it, and what makes it."""
        if self._pid and not self.died():
            self.kill()
        self._maker.kill()
        self._maker.communicate()

    def _told(self) -> int:
        assert self._maker.stdout
        return int(self._maker.stdout.readline() or 0)


class InOnePiece(HTTPConnection):
    """Sends the head and body of a request together, as most clients do: the short way in."""

    _held = b""

    def send(self, data: Any) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._held = data
        else:
            super().send(self._held + data)
            self._held = b""


@dataclass
class Worker:
    """Sends its events in order; keeps those nobody has acknowledged for the next time."""

    number: int
    acknowledged: list[str] = field(default_factory=list)
    unsure: list[list[str]] = field(default_factory=list)
    _next: Iterator[int] = field(default_factory=itertools.count)

    def work(self, system: System, stop: Callable[[], bool]) -> None:
        """Send until the server is gone, or `stop`."""
        kind = InOnePiece if self.number % 2 else HTTPConnection
        connection = kind("127.0.0.1", system.server.port, timeout=30)
        try:
            while not stop():
                batch = self.unsure[0] if self.unsure else self._fresh()
                if not self.unsure:
                    self.unsure.append(batch)
                self._send(connection, system.ingest_key, batch)
                self.acknowledged += batch
                self.unsure.pop(0)
        except (OSError, HTTPException):
            return
        finally:
            connection.close()

    def _fresh(self) -> list[str]:
        size = random.choice((1, 1, 1, 5, 50))
        return [f"{self.number}-{next(self._next)}" for _ in range(size)]

    def _send(self, connection: HTTPConnection, key: str, ids: list[str]) -> None:
        events = [{"type": "t", "source": "/s", "id": i, "stream": i.split("-")[0]} for i in ids]
        connection.request(
            "POST", "/v1/events", json.dumps(events),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )  # fmt: skip
        answer = connection.getresponse()
        report = json.loads(answer.read())
        assert answer.status == 200, report
        assert report["stored"] + report["duplicates"] == len(ids)


def stored(server: Evdebug) -> list[tuple[int, str]]:
    """Return (position, id) of every event of the only timeline, by position."""
    sql = "SELECT place, event_id FROM eventlog_event ORDER BY place"
    if server.database_url:
        with psycopg.connect(server.database_url) as connection:
            rows = connection.execute(sql).fetchall()
    else:
        path = server.folder / "data" / "log.sqlite3"
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            rows = connection.execute(sql).fetchall()
    return [(place & ((1 << 40) - 1), bytes(packed).decode()) for place, packed in rows]


def check(workers: list[Worker], server: Evdebug) -> None:
    found = stored(server)
    ids = [i for _, i in found]
    assert [position for position, _ in found] == list(range(1, len(found) + 1)), "a gap"
    assert len(set(ids)) == len(ids), "twice"
    for worker in workers:
        mine = [i for i in ids if i.startswith(f"{worker.number}-")]
        lost = set(worker.acknowledged) - set(mine)
        assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
        assert mine == sorted(mine, key=lambda i: int(i.split("-")[1])), "out of order"


@pytest.fixture
def doors(new_server: Callable[..., Evdebug]) -> Iterator[Doors]:
    """Doors that are not open yet, for a system with a key."""
    server = new_server(start=False)
    server.folder.mkdir(exist_ok=True)
    server.manage("migrate", "--verbosity", "0")
    system = server.system("crash")
    assert system.ingest_key
    doors = Doors(system)
    yield doors
    doors.close()


def run(doors: Doors, workers: list[Worker], stop: Callable[[], bool]) -> None:
    threads = [threading.Thread(target=w.work, args=(doors.system, stop)) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", FAILPOINTS)
def test_killed_at(name: str, times: int, doors: Doors) -> None:
    workers = [Worker(n) for n in range(WORKERS)]
    doors.start(f"{name}:{times}")
    run(doors, workers, doors.died)
    doors.wait()
    check(workers, doors.system.server)

    doors.start()
    run(doors, workers, lambda: all(len(w.acknowledged) >= 100 for w in workers))
    check(workers, doors.system.server)
    doors.kill()
    doors.system.server.manage("verify", "crash")


def test_killed_at_random_moments_under_load(doors: Doors) -> None:
    workers = [Worker(n) for n in range(WORKERS)]
    for turn in range(ROUNDS):
        doors.start()
        before = sum(len(w.acknowledged) for w in workers)
        killer = threading.Thread(
            target=_kill_after, args=(doors, workers, before, random.uniform(0, 0.2))
        )
        killer.start()
        run(doors, workers, doors.died)
        killer.join()
        if turn % 20 == 19:
            check(workers, doors.system.server)
    check(workers, doors.system.server)
    assert sum(len(w.acknowledged) for w in workers) > ROUNDS
    doors.system.server.manage("verify", "crash")


def _kill_after(doors: Doors, workers: list[Worker], before: int, seconds: float) -> None:
    """Kill the process a moment after the first event of this round is acknowledged."""
    while sum(len(w.acknowledged) for w in workers) == before:
        time.sleep(0.001)
    time.sleep(seconds)
    doors.kill()
