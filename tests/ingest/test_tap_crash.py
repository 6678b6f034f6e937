"""Taps killed at every step: nothing lost, nothing twice, and the counts add up.

The process dies at a failpoint, with SIGKILL, and is started again. What the bus holds is then in
the log exactly once, in its order, and what is no event in quarantine exactly once.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.running import ROOT, Evdebug
from tests.services import die_with_parent

# What a tap does at each step does not depend on the database.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]

FAILPOINTS = ("tap_read", "tap_mid_batch", "tap_before_commit", "tap_after_commit", "tap_settled")
COUNT = 6000
BAD = {17, 2500, COUNT - 1}
PATIENCE_S = 180
EVENTS = """
    SELECT data FROM eventlog_event JOIN eventlog_lane l ON l.id = lane_id
    WHERE l.kind = 'event' ORDER BY place
"""


def bodies() -> list[bytes]:
    return [b'{"n":%d' % n if n in BAD else b'{"n":%d}' % n for n in range(COUNT)]


class Tapped:
    """An evdebug with one tap, whose process may be killed; looked at past its own code."""

    def __init__(self, server: Evdebug, bus: str, settings: dict[str, str]) -> None:
        self.server = server
        server.folder.mkdir(exist_ok=True)
        server.manage("migrate", "--verbosity", "0")
        server.manage("system", "create", "crash")
        pairs = [w for name, value in settings.items() for w in ("--set", f"{name}={value}")]
        server.manage("tap", "add", "crash", "it", "--bus", bus, *pairs)

    def run(self, failpoint: str = "", stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        more = {"EVDEBUG_FAILPOINT": failpoint} if failpoint else {}
        return subprocess.Popen(
            [sys.executable, "manage.py", "ingest"], cwd=ROOT,
            env=self.server.environment | {"DJANGO_SETTINGS_MODULE": "evdebug.settings"} | more,
            stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=die_with_parent,
        )  # fmt: skip

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        if self.server.database_url:
            with psycopg.connect(self.server.database_url) as connection:
                done = connection.execute(text)
                return done.fetchall() if done.description else []
        path = self.server.folder / "data" / "log.sqlite3"
        with closing(sqlite3.connect(path, timeout=30)) as log, log:
            return log.execute(text).fetchall()

    def counts(self) -> dict[str, int]:
        names = ("received", "stored", "duplicates", "rejected")
        (row,) = self.sql(f"SELECT {', '.join(names)} FROM ingest_tap")
        return dict(zip(names, row, strict=True))

    def placed(self) -> int:
        """Return how many records are stored or rejected; what came again is neither."""
        counts = self.counts()
        return counts["stored"] + counts["rejected"]

    def wait(self, process: subprocess.Popen[bytes], placed: int) -> None:
        until = time.monotonic() + PATIENCE_S
        while self.placed() < placed:
            assert time.monotonic() < until, self.counts()
            assert process.poll() is None
            time.sleep(0.1)

    def finish(self) -> None:
        """Run until all records are counted, then stop it as ctrl-C does."""
        self.sql("UPDATE ingest_tap SET lease_until = 0")  # or it would hold for 30 s
        process = self.run()
        try:
            self.wait(process, COUNT)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0

    def stored(self) -> list[int]:
        rows = self.sql(EVENTS)
        return [json.loads(bytes(data))["n"] for (data,) in rows]


def check(tapped: Tapped) -> None:
    assert tapped.stored() == [n for n in range(COUNT) if n not in BAD]
    row = tapped.counts()
    assert row["received"] == row["stored"] + row["duplicates"] + row["rejected"]
    assert (row["stored"], row["rejected"]) == (COUNT - len(BAD), len(BAD))
    assert tapped.sql("SELECT count(*) FROM ingest_reject") == [(len(BAD),)]


def kill_at_each(tapped: Tapped, publish: Callable[[], None], *, first: int) -> None:
    """Have it die at each step, one after the other; each takes one batch at most.

    first  the time at which it dies at the first step, while it is published
    """
    for name in FAILPOINTS:
        tapped.sql("UPDATE ingest_tap SET lease_until = 0")  # or it would hold for 30 s
        process = tapped.run(f"{name}:{first if name == FAILPOINTS[0] else 1}")
        if name == FAILPOINTS[0]:
            publish()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL, name


def test_following_files(new_server: Callable[..., Evdebug], tmp_path: Path) -> None:
    tapped = Tapped(new_server(start=False), "files", {"path": str(tmp_path)})

    def publish() -> None:
        (tmp_path / "a.ndjson").write_bytes(b"\n".join(bodies()) + b"\n")

    kill_at_each(tapped, publish, first=1)
    tapped.finish()
    check(tapped)
