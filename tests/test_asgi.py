"""The application under another server: the doors, the pages, and a clean end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.ingest.asking import post
from tests.ingest.hostile import NDJSON, event
from tests.running import ROOT, Evdebug, System
from tests.services import die_with_parent, wait_until


@pytest.fixture
def system(new_server: Callable[..., Evdebug]) -> Iterator[System]:
    """A system of an evdebug that uvicorn serves."""
    server = new_server(start=False)
    server.folder.mkdir(exist_ok=True)
    server.manage("migrate", "--verbosity", "0")
    system = server.system("other")
    words = ["-m", "uvicorn", "evdebug.asgi:application", "--port", str(server.port)]
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [sys.executable, *words, "--log-level", "warning", "--lifespan", "on"], cwd=ROOT,
            env=server.environment, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    wait_until(server.is_ready, server.process, server.log)
    yield system
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert "Traceback" not in server.said()
    server.process = None


def test_it_works(system: System) -> None:
    key = system.ingest_key
    lines = b"\n".join(event(id=f"n{n}") for n in range(5000))
    assert post(system.server, "/v1/events", b'{"type":"t"}', key=key).status == 200
    answer = post(system.server, "/v1/events", lines, key=key, content_type=NDJSON)
    assert answer.json["stored"] == 5000
    assert post(system.server, "/v1/nothing", b"", key=key).status == 404
    assert post(system.server, "/v1/events", b" " * 40_000_000, key=key).status == 413
    assert system.get("head")[1]["position"] == 5001
