"""Commands beside a running server, in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.running import ROOT, Evdebug
from tests.services import die_with_parent

pytestmark = pytest.mark.only("sqlite")


def test_tail_follows_what_arrives(server: Evdebug) -> None:
    system = server.system("followed")
    system.send({"type": "before"})
    words = ["tail", "followed", "--after", "0", "--follow", "--json", "--query=-type:not"]
    process = subprocess.Popen(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=server.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip
    assert process.stdout
    assert json.loads(process.stdout.readline())["type"] == "before"

    system.send({"type": "after"}, {"type": "not"}, {"type": "last"})

    assert [json.loads(process.stdout.readline())["position"] for _ in range(2)] == [2, 4]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.slow
def test_export_into_import_by_a_pipe(server: Evdebug) -> None:
    first, second = server.system("first"), server.system("second")
    first.send(*[{"type": "t", "id": f"n{n}", "data": {"n": n}} for n in range(3000)])
    piped = f"{sys.executable} manage.py export first | {sys.executable} manage.py import second -"
    done = subprocess.run(
        ["/bin/sh", "-c", piped], cwd=ROOT, env=server.environment, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["stored"] == 3000
    assert second.get("events/3000")[1]["data"] == {"n": 2999}


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(server: Evdebug) -> None:
    system = server.system("enough")
    system.send(*[{"type": "t", "data": "x" * 1000} for _ in range(3000)])
    for words in ("export enough", "tail enough --after 0 --json"):
        piped = f"{sys.executable} manage.py {words} | head -1"
        done = subprocess.run(
            ["/bin/sh", "-c", piped], cwd=ROOT, env=server.environment, capture_output=True,
            check=True,
        )  # fmt: skip
        assert done.stdout.count(b"\n") == 1
        assert done.stderr == b""


@pytest.mark.slow
def test_wrong_words_end_with_2(server: Evdebug) -> None:
    server.manage("import", "nothing", "-", code=2)
    server.manage("import", "--no-such-option", code=2)
    server.manage("import", "nothing", "-", "--format", "xml", code=2)
    server.manage("export", code=2)
    server.manage("tail", "nothing", code=2)
