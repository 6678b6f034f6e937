"""The whole program from outside, as a newcomer starts it; and what our own fixtures promise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from tests import services
from tests.__main__ import Run, total
from tests.conftest import Servers
from tests.running import ROOT, Evdebug


def test_it_works(server: Evdebug) -> None:
    system = server.system("works")

    status, answer = system.send({"type": "Hello", "data": {"n": 1}})

    assert (status, answer["stored"], answer["positions"]) == (200, 1, [1])
    assert system.get("events/1")[1]["data"] == {"n": 1}


def test_a_sign_in_link_leads_to_a_page(server: Evdebug) -> None:
    with urlopen(server.sign_in_link()) as page:
        assert page.status == 200
        assert "Sign in" in page.read().decode()


def test_a_page_without_a_session_leads_to_sign_in(server: Evdebug) -> None:
    with urlopen(server.url + "/") as page:
        assert "/signin" in page.url


@pytest.mark.slow
def test_it_remembers_after_a_crash(new_server: Servers) -> None:
    server = new_server()
    system = server.default
    system.send({"type": "Kept"})

    server.kill()
    server.start()

    assert system.get("head")[1]["position"] == 1
    assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_leaves_the_port(new_server: Servers, how: signal.Signals) -> None:
    server = new_server()
    assert server.process is not None
    server.process.send_signal(how)
    assert server.process.wait(30) == 0
    server.start()
    assert server.is_ready()


@pytest.mark.slow
def test_a_setting_that_is_nonsense_stops_the_start(new_server: Servers) -> None:
    server = new_server(start=False, EVDEBUG_MAX_BODY="lots")
    with pytest.raises(RuntimeError, match=r"EVDEBUG_MAX_BODY is 'lots'; expected a size"):
        server.start()
    assert server.process is not None
    assert server.process.returncode == 2


def test_metrics_are_for_this_machine(server: Evdebug) -> None:
    with urlopen(server.url + "/metrics") as figures:
        assert b"evdebug_requests_total" in figures.read()


def test_what_is_not_there_is_a_page_that_says_so(server: Evdebug) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(server.url + "/v1/nothing")
    assert refused.value.code == 404


@pytest.mark.slow
def test_postgresql_comes_back_with_what_it_had() -> None:
    try:
        with services.postgresql(durable=True) as server, psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
            connection.commit()
            connection.close()
            server.stop(signal.SIGQUIT)
            server.start()
            with psycopg.connect(server.url) as again:
                assert again.execute("SELECT n FROM kept").fetchall() == [(7,)]
                assert again.execute("SHOW fsync").fetchall() == [("on",)]
    except services.Missing as missing:
        (pytest.fail if services.required() else pytest.skip)(str(missing))


def test_a_service_dies_with_who_started_it(redis_url: str) -> None:
    """However that ends: a killed test run leaves no servers behind."""
    script = (
        "import os, signal\n"
        "from tests import services\n"
        "with services.redis() as url:\n"
        "    print(url, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE)
    port = int(done.stdout.decode().strip().rpartition(":")[2])
    assert done.returncode == -signal.SIGKILL
    services.wait_for(lambda: not services.listens(port), "Redis to be gone")


def test_closing_lines_are_summed() -> None:
    runs = [
        Run("a", [], closing="1 failed, 20 passed, 2 skipped, 3 deselected in 1.0s"),
        Run("b", [], closing="1 error, 5 passed, 1 warning in 1.0s"),
        Run("c", [], missing="There is no c."),
    ]
    assert total(runs, 2.5) == "1 failed, 1 errors, 25 passed, 2 skipped, 1 warnings in 2.50s"
    assert runs[2].summary() == "c: SKIPPED: There is no c."


@pytest.mark.parametrize(
    ("required", "run", "failed"),
    [
        (False, Run("ok", [], closing="5 passed, 1 skipped in 1s"), False),
        (True, Run("skipped", [], closing="5 passed, 1 skipped in 1s"), True),
        (True, Run("ok", [], closing="5 passed in 1s"), False),
        (False, Run("missing", [], missing="There is none."), False),
        (True, Run("missing", [], missing="There is none."), True),
        (False, Run("failed", [], code=1, closing="1 failed in 1s"), True),
        (False, Run("crashed", [], code=-9), True),
    ],
)
def test_a_skip_is_a_failure_where_services_are_required(
    monkeypatch: pytest.MonkeyPatch, *, required: bool, run: Run, failed: bool
) -> None:
    monkeypatch.setenv("EVDEBUG_REQUIRE_SERVICES", "1" if required else "0")
    assert run.failed is failed


# What a machine has that has nothing: no program on PATH, nothing below /usr/lib.
BARE = """
import pathlib, shutil
shutil.which = lambda *_, **__: None
glob = pathlib.Path.glob
pathlib.Path.glob = lambda at, what: iter(()) if str(at).startswith("/usr/lib/") else glob(at, what)
"""


@pytest.mark.slow
@pytest.mark.only("sqlite")
def test_without_any_server_it_passes_and_names_what_it_skips(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BARE)
    for required in "0", "1":
        done = subprocess.run(
            [sys.executable, "-m", "tests", "-n", "0", "tests/test_brokers.py", __file__,
             "-k", "over_a_crash or closing_lines"],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path), "DATABASE_URL": "",
                                        "EVDEBUG_REQUIRE_SERVICES": required},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert done.returncode == int(required), done.stdout
        assert "There is no nats-server on PATH" in done.stdout
        closing = done.stdout.partition("== all ==")[2]
        assert ("yet something was skipped" in closing) == (required == "1")
        for name in ("PostgreSQL", "Chromium"):
            assert f"{name}: SKIPPED: There is no {name}" in closing
        if required == "0":
            assert closing.rstrip().splitlines()[-1].startswith("1 passed, 1 skipped in")


def test_the_first_start_says_how_to_go_on(new_server: Servers) -> None:
    server = new_server()
    said = (server.folder / "stdout").read_text() + server.said()
    assert f"{server.url}/signin/" in said
    assert f"curl {server.url}/v1/events" in said
    assert json.dumps({"type": "Hello"}, separators=(",", ":")) in said
