"""POST /v1/events, beside an ORM view and a no-op under the same server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from bench import cloudevents
from bench.flows import events
from bench.harness import ROOT, Bench, Section, clean_environment, fact, interleaved, ratio, say
from tests.services import free_port, listens, wait_until

BATCH, BATCH_CONNECTIONS, SINGLE_CONNECTIONS = 1000, 8, 64
BATCH_GOAL, SINGLE_GOAL = 4, 0.6
BATCHES = "application/cloudevents-batch+json"
SINGLES = "application/cloudevents+json"


def run(bench: Bench) -> Section:
    """Send batches, then single events, and check that the log holds them all."""
    section = Section(
        "door",
        f"`POST /v1/events`, answered after the commit. Batches of {BATCH:,} CloudEvents on "
        f"{BATCH_CONNECTIONS} connections beside a Django view without middleware that stores them "
        f"with `bulk_create`; single events on {SINGLE_CONNECTIONS} connections beside an ASGI "
        "application that reads the body and stores nothing. All three under the same server, the "
        "client in a process of its own. What remains of the distance is Python's one thread at a "
        "time: reading a request, decoding it and appending it take turns.",
    )
    for vendor in bench.vendors():
        with Doors(bench, vendor) as doors:
            _batches(bench, doors, section)
            _singles(bench, doors, section)
            doors.check()
    return section


def _batches(bench: Bench, doors: Doors, section: Section) -> None:
    batches, fewer = bench.scaled(150, 2), bench.scaled(40, 1)

    def ours() -> float:
        bodies = doors.bodies(batches, BATCH)
        doors.sent += batches * BATCH
        return doors.evdebug.load(bodies, "/v1/events", BATCHES, BATCH_CONNECTIONS) * BATCH

    def orm() -> float:
        return (
            doors.orm.load(doors.bodies(fewer, BATCH), "/bulk", BATCHES, BATCH_CONNECTIONS) * BATCH
        )

    what = f"{doors.name}, batches of {BATCH:,}"
    section.rows.append(
        ratio(what, *interleaved(bench.rounds, ours, orm), unit="events/s", at_least=BATCH_GOAL)
    )


def _singles(bench: Bench, doors: Doors, section: Section) -> None:
    many = bench.scaled(20_000, 200)
    slowest: list[float] = []

    def ours() -> float:
        bodies = doors.bodies(many, 1)
        doors.sent += many
        rate = doors.evdebug.load(bodies, "/v1/events", SINGLES, SINGLE_CONNECTIONS)
        slowest.append(doors.evdebug.last["p99"] * 1000)
        return rate

    def noop() -> float:
        return doors.noop.load(doors.bodies(many, 1), "/v1/noop", SINGLES, SINGLE_CONNECTIONS)

    section.rows.append(
        ratio(
            f"{doors.name}, single events",
            *interleaved(bench.rounds, ours, noop),
            unit="requests/s",
            at_least=SINGLE_GOAL,
        )
    )
    section.rows.append(fact(f"{doors.name}, single events, p99", median(slowest), unit="ms"))


@dataclass
class Served:
    """A running server and the key to it."""

    port: int
    key: str
    last: dict[str, Any]

    def load(
        self, bodies: Path, path: str, content_type: str, connections: int, *, packed: bool = False
    ) -> float:
        """Send every body and return requests a second.  raises  RuntimeError for a refusal"""
        options = {
            "host": "127.0.0.1", "port": self.port, "path": path, "bodies": str(bodies),
            "connections": connections, "packed": packed,
            "headers": {"Authorization": f"Bearer {self.key}", "Content-Type": content_type},
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "bench.client"],
            cwd=ROOT, input=json.dumps(options).encode(), stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        self.last = json.loads(done.stdout)
        if set(self.last["statuses"]) != {"200"}:
            raise RuntimeError(f"{path} answered {self.last['statuses']}; expected 200 throughout.")
        return float(self.last["rate"])


@contextmanager
def served(bench: Bench, name: str, environment: dict[str, str], key: str) -> Iterator[Served]:
    """Run one of the applications of `bench.serve` in a process of its own."""
    port = free_port()
    log = bench.folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.serve", name, str(port)],
            cwd=ROOT, env=clean_environment() | environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until(lambda: listens(port), process, log)
        yield Served(port, key, {})
    except RuntimeError:
        say(log.read_text()[-4000:])
        raise
    finally:
        process.terminate()
        process.wait(60)


class Doors:
    """The three servers, on one database in turn, and bodies nobody has sent before."""

    def __init__(self, bench: Bench, vendor: str) -> None:
        self.bench, self.vendor = bench, vendor
        self.name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[vendor]
        self._events = events()
        self._files = count()
        self.sent = 0

    def __enter__(self) -> Doors:
        self._stack = ExitStack()
        environment = self._stack.enter_context(self.bench.database(self.vendor))
        self.environment = environment
        self.key = self.bench.step("door", environment)["key"]
        self.evdebug, self.orm, self.noop = (
            self._stack.enter_context(served(self.bench, name, environment, self.key))
            for name in ("evdebug", "orm", "noop")
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def bodies(self, many: int, size: int) -> Path:
        """Write `many` bodies of `size` new events each to a file, one a line."""
        path = self.bench.folder / f"bodies-{next(self._files)}"
        one = cloudevents.structured
        cloudevents.write_lines(
            path,
            (
                one(next(self._events))
                if size == 1
                else cloudevents.batch(islice(self._events, size))
                for _ in range(many)
            ),
        )
        return path

    def check(self) -> None:
        """See that what was answered with 200 is in the log, or the figures mean nothing."""
        head = self.bench.step("door", self.environment)["head"]
        if head != self.sent:
            raise RuntimeError(f"The log holds {head} events; {self.sent} were sent.")
