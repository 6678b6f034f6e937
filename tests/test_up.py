"""`manage.py up` from outside: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest

from tests.conftest import Servers
from tests.running import ROOT, Evdebug
from tests.services import wait_for

pytestmark = pytest.mark.only("sqlite")  # starting and ending is the same on both databases

README = (ROOT / "README.md").read_text()


def printed(server: Evdebug) -> list[str]:
    """Return what all its starts printed on stdout."""
    return (server.folder / "stdout").read_text().splitlines()


def keys_printed(server: Evdebug) -> list[str]:
    return re.findall(r"evk_[\w-]{43}", server.said())


def send(server: Evdebug, key: str, body: str) -> int:
    """POST a body as `up` and the README tell to, and return the status."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = Request(f"{server.url}/v1/events", data=body.encode(), headers=headers)
    try:
        with urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def refused(server: Evdebug, *arguments: str) -> str:
    """Run `up` where it cannot start, and return the one line it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_works(new_server: Servers) -> None:
    server = new_server()
    assert len(printed(server)) == 1
    jar = CookieJar()
    browser = build_opener(HTTPCookieProcessor(jar))
    browser.open(printed(server)[0]).close()
    assert "evdebug_session" in {cookie.name for cookie in jar}
    assert send(server, keys_printed(server)[0], '{"type":"Hello"}') == 200
    assert server.manage("system", "list").split() == ["main", "1"]


def test_what_the_readme_tells_to_send_is_answered_as_it_says(new_server: Servers) -> None:
    server = new_server()
    body = re.search(r"-d '(\[.*?\])'", README)
    answer = re.search(r'`(\{"received".*?\})`', README)
    assert body
    assert answer
    assert server.system("orders").send(*json.loads(body[1])) == (200, json.loads(answer[1]))


@pytest.mark.slow
def test_each_start_prints_a_fresh_link_and_until_the_first_event_a_key(
    new_server: Servers,
) -> None:
    server = new_server()
    server.stop()
    server.start()
    first, second = keys_printed(server)
    assert (
        send(server, first, '{"type":"A"}') == 401
    )  # nobody used it, and it cannot be shown again
    assert send(server, second, '{"type":"A"}') == 200
    server.stop()
    server.start()
    assert keys_printed(server) == [first, second]
    assert send(server, second, '{"type":"B"}') == 200
    assert len(set(printed(server))) == 3


@pytest.mark.slow
def test_a_second_one_on_the_same_port_leaves_the_first_alone(new_server: Servers) -> None:
    server = new_server()
    said = refused(server)
    assert f"127.0.0.1:{server.port} cannot be listened on: Address already in use." in said
    assert "--port" in said
    assert send(server, keys_printed(server)[0], '{"type":"Hello"}') == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        (["--host", "0.0.0.0"], {}, "Set EVDEBUG_ALLOWED_HOSTS"),
        (
            ["--host", "0.0.0.0"],
            {"EVDEBUG_ALLOWED_HOSTS": "ev.example", "EVDEBUG_DEBUG": "1"},
            "EVDEBUG_DEBUG",
        ),
        (["--host", "192.0.2.1"], {"EVDEBUG_ALLOWED_HOSTS": "ev.example"}, "cannot be listened on"),
        (["--host", "no.such.host.invalid"], {"EVDEBUG_ALLOWED_HOSTS": "x"}, "cannot be"),
        (["--port", "70000"], {}, "--port is 70000; expected 0 to 65535."),
        (["--port", "http"], {}, "invalid int value"),
        (["--demonstrate"], {}, "unrecognized arguments"),
        ([], {"EVDEBUG_ALLOWED_HOSTS": "*"}, "not '*'"),
        ([], {"EVDEBUG_SECRET_KEY": "x" * 60}, "nearly all one character"),
        ([], {"DATABASE_URL": "postgresql://nobody:hunter2@127.0.0.1:9/none"}, "cannot start"),
    ],
)
def test_it_refuses(
    new_server: Servers, arguments: list[str], variables: dict[str, str], reason: str
) -> None:
    said = refused(new_server(start=False, **variables), *arguments)
    assert reason in said
    assert "hunter2" not in said


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_seconds_and_with_0(new_server: Servers, how: signal.Signals) -> None:
    server = new_server()
    assert server.process
    began = time.monotonic()
    server.process.send_signal(how)
    assert server.process.wait(30) == 0
    assert time.monotonic() - began < 10
    assert server.said().splitlines()[-1] == "Stopped."


@pytest.mark.slow
def test_without_demo_there_is_no_trace_of_one(new_server: Servers) -> None:
    server = new_server()
    server.stop()
    assert "shop" not in server.said()
    assert [row["slug"] for row in json.loads(server.manage("system", "list", "--json"))] == [
        "main"
    ]


def head(server: Evdebug, slug: str) -> int:
    rows = json.loads(server.manage("system", "list", "--json"))
    return next(int(row["head"]) for row in rows if row["slug"] == slug)


def shops(server: Evdebug) -> set[int]:
    """Return the process ids of the demo shops that send to a server; one, or none."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
            if b"examples.shop" in words and server.url.encode() in words:
                found.add(int(entry.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.slow
def test_the_demo_brings_a_shop_that_comes_and_goes_with_it(new_server: Servers) -> None:
    server = new_server("--demo", start=False)
    server.start()
    wait_for(lambda: bool(shops(server)), "the shop to run")
    wait_for(lambda: head(server, "shop") > 1000, "the shop to send its past")
    for pid in shops(server):
        # Neither the key nor anything of ours is to be seen by other users of the machine.
        assert b"evk_" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"EVDEBUG_SHOP_KEY=evk_" in environment
        assert b"DATABASE_URL" not in environment
        assert b"EVDEBUG_DATA" not in environment
    assert server.stop() == 0
    wait_for(lambda: not shops(server), "the shop to end with it")

    begun = (server.folder / "data" / "shop.json").read_bytes()
    cut_off = head(server, "shop")

    server.start()
    wait_for(lambda: head(server, "shop") > cut_off, "the shop to go on with its past")
    held = json.loads((server.folder / "data" / "shop.json").read_bytes())
    assert held["start"] == json.loads(begun)["start"]
    server.process.kill()  # type: ignore[union-attr]
    wait_for(lambda: not shops(server), "the shop to end with a parent that was killed")
    server.kill()
    keys = json.loads(server.manage("key", "list", "shop", "--json"))
    assert [key["name"] for key in keys].count("demo shop") == 1


@pytest.mark.slow
def test_with_redis_the_tasks_are_left_to_workers(new_server: Servers, redis_url: str) -> None:
    server = new_server(REDIS_URL=redis_url)
    assert "celery -A evdebug worker --beat" in server.said()
    assert server.stop() == 0


@pytest.mark.slow
def test_a_name_of_the_machine_is_served_and_others_are_not(new_server: Servers) -> None:
    server = new_server(EVDEBUG_ALLOWED_HOSTS="ev.example")
    with urlopen(Request(f"{server.url}/healthz", headers={"Host": "ev.example"})) as answer:
        assert answer.status == 200
    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(f"{server.url}/healthz", headers={"Host": "evil.example"}))


@pytest.mark.slow
def test_port_0_takes_a_free_one_and_prints_it(new_server: Servers) -> None:
    server = new_server("--port", "0", start=False)
    with (server.folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", "0"],
            cwd=ROOT, env=server.environment, stdout=out, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_for(lambda: (server.folder / "out").read_text().endswith("\n"), "the link")
        link = (server.folder / "out").read_text()
        port = int(link.split("/")[2].partition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    finally:
        process.terminate()
        assert process.wait(30) == 0
