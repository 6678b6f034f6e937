from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from examples.shop import cli
from examples.shop.begun import read
from examples.shop.shop import Shop
from tests.shop.listener import Listener, listening

ROOT = Path(__file__).resolve().parents[2]
BARE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def shop(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the shop as `up` does: isolated from this process and with nothing but Python."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "examples.shop", *arguments],  # -S: no installed packages
        cwd=ROOT,
        env=BARE | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_works(listener: Listener) -> None:
    done = shop(
        "--url", listener.url, "--history", "20m", "--rate", "5", "--no-live",
        EVDEBUG_SHOP_KEY="evk_1",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(listener.entries) > 5_000
    assert {key for _, _, key in listener.requests} == {"Bearer evk_1"}
    assert "entries in" in done.stderr
    assert done.stdout == ""


def test_it_writes_the_same_files_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = shop(
            "--out", str(tmp_path / f"{name}.ndjson"), "--history", "20m", "--rate", "5",
            "--start-time", "2026-05-12T14:00:00Z",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    for kind in ("", ".deliveries"):
        one, two = (tmp_path / f"{name}{kind}.ndjson" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes() != b""


def test_without_a_key_it_says_what_to_do() -> None:
    done = shop("--no-live")

    assert done.returncode == 2
    assert "EVDEBUG_SHOP_KEY" in done.stderr


def test_a_refused_key_is_an_error(listener: Listener) -> None:
    listener.answers = [(401, {})] * 100

    done = shop("--url", listener.url, "--key", "evk_0", "--history", "0")

    assert done.returncode == 2
    assert "answered 401" in done.stderr


def test_rejected_entries_show_in_the_exit_code(listener: Listener) -> None:
    listener.rejects = 1

    done = shop(
        "--url", listener.url, "--key", "evk_1", "--history", "1m", "--rate", "2", "--no-live"
    )

    assert done.returncode == 1
    assert "missing_type" in done.stderr


def test_killed_in_the_middle_of_its_past_it_goes_on_with_that_one(
    listener: Listener, tmp_path: Path
) -> None:
    arrived, go_on = Event(), Event()
    take = listener.take

    def stall(path: str, kind: str, key: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        if len(listener.requests) > 20:
            arrived.set()
            go_on.wait(30)
        return take(path, kind, key, body)

    listener.take = stall  # type: ignore[method-assign]
    arguments = ["--url", listener.url, "--key", "evk_1", "--history", "20m", "--rate", "5",
                 "--no-live", "--remember", str(tmp_path / "begun")]  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.shop", *arguments], cwd=ROOT, env=BARE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert arrived.wait(60)
    running.kill()
    running.wait()
    go_on.set()
    begun = read(tmp_path / "begun")
    assert begun
    assert not begun.sent

    assert shop(*arguments).returncode == 0
    whole = Shop(seed=7, start=begun.start, edge=begun.start + begun.length, rate=5.0)
    whole.run(begun.start + begun.length)
    made = {(f"/v1/{door}", json.dumps(json.loads(line))) for door, line in whole.take()}
    assert {(path, json.dumps(entry)) for path, entry in listener.entries} == made
    assert read(tmp_path / "begun") == replace(begun, sent=True)
    before = len(listener.requests)
    assert shop(*arguments).returncode == 0
    assert len(listener.requests) == before  # its past is there: none is sent


@pytest.mark.parametrize("held", [b"", b"{", b"[]", b'{"start":"x","length":1,"sent":true}'])
def test_what_it_cannot_read_it_does_not_remember(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "begun").write_bytes(held)
    assert read(tmp_path / "begun") is None
    assert read(tmp_path / "none") is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(listener: Listener, number: signal.Signals) -> None:
    arrived = Event()
    take = listener.take

    def notice(path: str, kind: str, key: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        if len(listener.requests) > 3:
            arrived.set()
        return take(path, kind, key, body)

    listener.take = notice  # type: ignore[method-assign]
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.shop", "--url", listener.url, "--history", "0"],
        cwd=ROOT,
        env=BARE | {"EVDEBUG_SHOP_KEY": "evk_1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert arrived.wait(30)
    running.send_signal(number)
    _, said = running.communicate(timeout=10)

    assert running.returncode == 0
    assert "closed" in said
    assert "Traceback" not in said


TOLD_WHILE_HELD = """
import os, signal, sys, time
from threading import Event
from examples.shop.cli import when_told
stop = Event()
when_told(stop.set)
with stop._cond:  # as in the midst of a wait
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
sys.exit(not stop.wait(20))
"""


def test_a_signal_in_the_midst_of_a_wait_does_not_hang() -> None:
    running = [sys.executable, "-c", TOLD_WHILE_HELD]
    assert subprocess.run(running, cwd=ROOT, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--history", "soon"], "'soon' is no duration; expected 45m, 90s, 2h or 0"),
        (["--history", "45"], "'45' is no duration"),
        (["--rate", "0"], "'0' is no rate; expected 1 to 1000 a second"),
        (["--rate", "nan"], "'nan' is no rate"),
        (["--start-time", "noon"], "'noon' is no time; expected 2026-05-12T13:56:50+00:00"),
        (["--start-time", "2026-05-12T14:00:00"], "has no zone"),
        (["--url", "localhost"], "'localhost' is no address"),
        (["--bus", "pigeons"], "invalid choice: 'pigeons'"),
    ],
)
def test_nonsense_is_refused(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)

    assert end.value.code == 2
    assert expected in capsys.readouterr().err


def test_durations() -> None:
    given = ("0", "90s", "45m", "2h")

    assert [cli.duration(text) for text in given] == [0, 90_000, 2_700_000, 7_200_000]
