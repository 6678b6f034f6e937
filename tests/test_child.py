from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evdebug import child
from evdebug.child import LEASH, Child

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {}; time.sleep(60)"


def eventually(true: Callable[[], object]) -> None:
    """Wait until `true` is, as other processes take their time; fail after 20 s."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    """Start a child that runs Python code, in the test's folder."""
    started: list[Child] = []

    def start(code: str) -> Child:
        command = [sys.executable, "-c", code]
        started.append(
            Child("the program", lambda: command, cwd=tmp_path, env=os.environ | {"KEY": "k1"})
        )
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


WRITE_PID = "import os; open('pids', 'a').write(f'{os.getpid()}\\n')"


def pids(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_runs_with_what_it_was_given(run: Callable[[str], Child], tmp_path: Path) -> None:
    run(f"{WRITE_PID}; open('key', 'w').write(os.environ['KEY']); import time; time.sleep(60)")
    eventually(lambda: (tmp_path / "key").exists() and (tmp_path / "key").read_text() == "k1")


def test_stopping_ends_it(run: Callable[[str], Child], tmp_path: Path) -> None:
    one = run(f"{WRITE_PID}; import time; time.sleep(60)")
    eventually(lambda: pids(tmp_path))
    one.stop()
    assert not alive(pids(tmp_path)[0])
    one.stop()


def test_one_that_does_not_listen_is_killed(
    run: Callable[[str], Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "STOP_S", 0.5)
    one = run(STUBBORN.format(WRITE_PID))
    eventually(lambda: pids(tmp_path))
    one.stop()
    eventually(lambda: not alive(pids(tmp_path)[0]))


def test_one_that_dies_is_started_again_each_time_after_a_longer_pause(
    run: Callable[[str], Child],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(child, "PAUSES_S", (0.01, 0.02))
    one = run(f"{WRITE_PID}; raise SystemExit(3)")
    eventually(lambda: len(caplog.messages) >= 3)
    one.stop()
    assert caplog.messages[:3] == [
        "the program ended with 3 and is started again in 0.01 s.",
        "the program ended with 3 and is started again in 0.02 s.",
        "the program ended with 3 and is started again in 0.02 s.",
    ]


def test_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "PAUSES_S", (0.01,))
    tries = iter([OSError("no memory"), OSError("no memory")])

    def command() -> list[str]:
        for error in tries:
            raise error
        return [sys.executable, "-c", f"{WRITE_PID}; import time; time.sleep(60)"]

    one = Child("the program", command, cwd=tmp_path, env=os.environ)
    one.start()
    try:
        eventually(lambda: pids(tmp_path))
    finally:
        one.stop()
    assert caplog.messages.count("the program could not be started.") == 2


def test_stopping_does_not_wait_for_the_pause(
    run: Callable[[str], Child], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PAUSES_S", (600,))
    one = run("raise SystemExit(3)")
    eventually(lambda: caplog.messages)
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 4


def test_one_never_started_may_be_stopped(tmp_path: Path) -> None:
    Child("the program", lambda: ["/bin/false"], cwd=tmp_path, env={}).stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from evdebug.child import Child; "
        f"code = {WRITE_PID + '; import time; time.sleep(60)'!r}; "
        "Child('x', lambda: [sys.executable, '-c', code],"
        f" cwd=Path({str(tmp_path)!r}), env=os.environ).start(); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        eventually(lambda: pids(tmp_path))
        parent.send_signal(signal.SIGKILL)
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: not alive(pids(tmp_path)[0]))


def test_the_leash_runs_nothing_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_PID]
    done = subprocess.run([sys.executable, str(LEASH), "1", *command], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert pids(tmp_path) == []
