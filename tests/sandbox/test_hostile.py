"""A run whose handlers attack: each attack comes to nothing, and the run says which it was.

Single walls are attacked in tests/projections/test_confine.py, the door in test_jailed.py.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Any

import pytest

from apps.eventlog.queries import log as reading
from apps.projections import jail, landlock
from apps.sandbox.commands import forks, jobs
from apps.sandbox.failing import ERROR, MOST, Failures
from apps.sandbox.jailed import Jailed
from apps.sandbox.models import Run
from apps.sandbox.queries.comparison import comparison
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope
from tests.sandbox.test_api import replay

ENDED = "Its process ended"
ATTACKS = {  # what is done: what is told of it
    "raise ValueError('an ordinary one')": "an ordinary one",
    "socket.create_connection(('127.0.0.1', 5432))": "Permission",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('::1', 53))": "Permission",
    "socket.socket(socket.AF_UNIX).connect('/var/run/postgresql/.s.PGSQL.5432')": "Permission",
    "open('/etc/passwd').read()": "Error",
    "open(f'/proc/{os.getppid()}/environ').read()": "Error",
    "open('/dev/shm/evdebug-hostile', 'w')": "may not write",
    "while True: os.fork()": "may not start a process",
    "os.execv('/bin/sh', ['sh'])": "may not start a program",
    "os.kill(os.getppid(), 9)": "may not send a signal",
    "while True: yield New('Mailed', 's', 'x' * 1_000_000)": "may say at most",
    "kept = []\nwhile True: kept.append(bytearray(1 << 26))": "",
    "def deeper(): deeper()\ndeeper()": "RecursionError",
    "import ctypes; ctypes.string_at(0)": ENDED,
    "os._exit(0)": ENDED,
    "for fd in range(3, 5000):\n try: os.write(fd, b'\\xff' * 99)\n except OSError: pass": ENDED,
    "assert not [n for n in os.environ if n[:3] not in ('PYT', 'LC_', 'PWD')]; 1 / 0": "ZeroDiv",
    "while True: print('x' * 1_000_000)": "did not return within",
}


def source() -> str:
    """Return a module as it is typed on the page: each attack has a handler of its own."""
    lines = ["import os, socket, sys", "from evdebug.sdk import New, subscriber", ""]
    for n, attack in enumerate([*ATTACKS, "pass"]):
        lines += [f"@subscriber('mailer', to='Placed{n}')", f"def attack_{n}(event, ctx):"]
        lines += [f"    {line}" for line in attack.split("\n")]
        lines += [f"    yield New('Mailed', 'mail-{n}', {{'to': {n}}})", ""]
    return "\n".join(lines)


@pytest.fixture
def placed(log: Log) -> Log:
    """An order for no attack and one for each; each was mailed."""
    for n in [len(ATTACKS), *range(len(ATTACKS))]:
        at = NOON + n * 1_000_000
        order = log.add(
            type=f"Placed{n}", source="/web", stream=f"order-{n}", time=at, data={"n": n}
        )
        log.append(
            envelope(type="Mailed", source="/mailer", stream=f"mail-{n}", time=at, cause=order,
                     data={"to": n}),
            delivery("mailer", cause=order, time=at, data={"attempt": 1}), now=at,
        )  # fmt: skip
    return log


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("walls", ["alone", "bubblewrap"])
def test_each_attack_is_contained_and_told(
    walls: str, placed: Log, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    if not landlock.version(ctypes.CDLL(None)) or (walls != "alone" and not jail.bubblewrap()):
        pytest.skip("this platform has no such walls")
    if walls == "alone":
        monkeypatch.setattr(jail, "bubblewrap", lambda: "")
    monkeypatch.setenv("PARENTS_SECRET", "a secret of the parent")
    given: Any = Jailed.__init__.__kwdefaults__
    monkeypatch.setitem(given, "handler_s", 8.0)
    head = reading.line(placed.line.slug).head

    run = ran(placed)

    assert (run.status, run.error) == ("finished", "")
    found = comparison(run)
    told = {row["type"]: row for row in found["failures"]}
    for n, (attack, words) in enumerate(ATTACKS.items()):
        row = told.pop(f"Placed{n}")
        assert (row["service"], row["position"]) == ("mailer", 3 * n + 4)
        assert words in row["error"], attack
    assert told == {}
    # What a handler would have said after its attack is missing; all else is as it was.
    gone = [e["original"]["stream"] for e in found["events"] if e["verdict"] == "missing"]
    assert sorted(gone) == sorted(f"mail-{n}" for n in range(len(ATTACKS)))
    assert found["same"] == len(ATTACKS) + 2
    assert reading.line(placed.line.slug).head == head
    assert not os.path.exists("/dev/shm/evdebug-hostile")
    assert "a secret of the parent" not in str(found)


def ran(placed: Log) -> Run:
    made = forks.create(placed.line, base=0, code={"mailer": {"source": source()}})
    claimed = jobs.claim(forks.start(placed.line, made).pk)
    assert claimed is not None
    return jobs.work(claimed)


def test_failures_are_counted_and_bounded() -> None:
    found = Failures()
    found.note("a", "T", "odd", -1)
    found.note("a", "T", "odd", 7)
    found.note("a", "T", "odd", 8)
    found.note("a", "T", "x" * 1000, 9)
    first, second = found.rows()
    assert first == {"service": "a", "type": "T", "error": "odd", "position": 7, "count": 3}
    assert len(second["error"]) == ERROR
    for n in range(MOST + 50):
        found.note("b", "T", f"{n}", 1)
    rows = found.rows()
    assert len(rows) == MOST + 1
    assert rows[0] | {"position": 0} == {
        "service": "b", "type": "T", "error": "It fails in still other ways.", "position": 0,
        "count": 52,
    }  # fmt: skip


@pytest.mark.django_db
def test_the_command_says_what_fails(
    placed: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (tmp_path / "failing_mailer.py").write_text(
        "from evdebug.sdk import subscriber\n\n\n"
        "@subscriber('mailer', to='Placed0')\ndef mail(event, ctx):\n"
        "    raise ValueError('no more mail')\n    yield\n"
    )
    monkeypatch.chdir(tmp_path)
    code, text = replay(placed, "--base", "0", "--code", "failing_mailer")
    assert code == 1
    assert re.search(r"! mailer fails for Placed0, \d+×, first for #4: ValueError: no more", text)
