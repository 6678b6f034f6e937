"""A secret sent through every bus, in every place, well-formed or not, is nowhere afterwards.

Not in the data directory, the dump of the database, the logs or any page. What is sent beside it to
be kept is there, so the looking finds what is to be found.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from html import unescape
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest
from moto.server import ThreadedMotoServer

from tests.ingest import canary_doors
from tests.ingest.canary_doors import BROKERS, SECRET, Door
from tests.ingest.test_whole_way import feed
from tests.running import Evdebug, System
from tests.services import free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]

RULES = r"mask ~/canary-[0-9a-f]+/; hash **.email"
ADD = """
from apps.access.actor import CONSOLE
from apps.eventlog.queries import log
from apps.ingest.commands import taps
add = lambda slug, all: [taps.add(log.line(slug), n, *a, by=CONSOLE) for n, a in all.items()]
"""
PAGES = 80
LINK = re.compile(r"(?:href|hx-get|data-url)=\"([^\"]+)\"")


def test_it_is_nowhere(
    new_server: Callable[..., Evdebug], request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    server = new_server()
    system = server.system("doors")
    told = {"specversion": "1.0", "id": SECRET, "type": "kept-http", "source": f"/{SECRET}",
            "data": {"note": SECRET}}  # fmt: skip
    fixture = request.getfixturevalue
    with aws() as address, feed(told) as requests:
        doors: dict[str, Door] = {n: by(fixture(f)) for n, (f, by) in BROKERS.items()} | {
            "sqs": canary_doors.by_sqs(address),
            "files": canary_doors.by_files(tmp_path),
            "webhook": canary_doors.by_hook(system),
            "http": ({"bus": "http", "url": requests}, lambda: 1),
        }
        # Credentials that are refused, and an address where nobody is: what is said is shown.
        refused = fixture("rabbitmq").url.replace("guest:guest", f"guest:{SECRET}")
        away = f"redis://u:{SECRET}@127.0.0.1:{free_port()}"
        add(system, {name: settings for name, (settings, _) in doors.items()} | {
            "refused": {"bus": "rabbitmq", "url": refused, "exchanges": "doors"},
            "away": {"bus": "redis", "url": away, "streams": "orders"},
        })  # fmt: skip
        wait_for(lambda: states(system) == {"receiving", "failing"}, "all taps to be at work")
        sent = {name: send() for name, (_, send) in doors.items()}
        wait_for(lambda: arrived(system, sent), "all to arrive")
        pages = crawled(server, system)
    assert len(pages) > 40, sorted(pages)
    assert server.stop() == 0
    dump = dumped(server)
    for name in doors:
        assert f"kept-{name}" in dump, name
    found = {where: around(text) for where, text in pages.items() if SECRET in text}
    assert not found, "\n".join(f"{where}: {text}" for where, text in found.items())
    assert SECRET not in dump, around(dump)
    for path in server.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def around(text: str) -> str:
    """Return where the secret is."""
    at = text.find(SECRET)
    return text[max(at - 200, 0) : at + 100]


@contextmanager
def aws() -> Iterator[str]:
    """Run a server that has SNS and SQS."""
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def add(system: System, wanted: dict[str, dict[str, str]]) -> None:
    """Make taps that redact, all by one process."""
    given = {
        name: (
            settings["bus"],
            {k: v for k, v in settings.items() if k != "bus"} | {"redact": RULES},
        )
        for name, settings in wanted.items()
    }
    system.server.manage("shell", stdin=f"{ADD}add({system.slug!r}, {given!r})".encode())


def taps(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = system.get("taps")[1]["taps"]
    return found


def states(system: System) -> set[str]:
    """Return the states of taps; one that is pushed to is none."""
    return {t["state"] for t in taps(system) if t["bus"] != "webhook"}


def arrived(system: System, sent: dict[str, int]) -> bool:
    counts = {t["name"]: t["received"] for t in taps(system)}
    return all(counts[name] >= count for name, count in sent.items())


def crawled(server: Evdebug, system: System) -> dict[str, str]:
    """Return every page and part that can be reached, by address."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    browser.open(server.sign_in_link(), timeout=60).close()
    found: dict[str, str] = {}
    waiting = [f"{system.url}/{page}" for page in ("sources/quarantine", "sources", "events")]
    for path in ("taps", "events", "rejects", "subscribers"):
        found[path] = json.dumps(system.get(path)[1])
    while waiting and len(found) < PAGES:
        address = waiting.pop(0)
        if address in found:
            continue
        found[address] = text = got(browser, address)
        for link in LINK.findall(text):
            to = urljoin(address, unescape(link)).partition("#")[0]
            if (
                "/export" not in to
                and urlsplit(to).path.startswith(f"/{system.slug}")
                and to not in found
            ):
                waiting.append(to)
    return found


def got(browser: OpenerDirector, address: str) -> str:
    try:
        with browser.open(address, timeout=60) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except HTTPError as error:
        return error.read().decode("utf-8", "replace")


def dumped(server: Evdebug) -> str:
    """Return every value of every table, bytes as latin-1."""
    with closing(sqlite3.connect(server.folder / "data" / "log.sqlite3")) as log:
        names = [n for (n,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for n in names for row in log.execute(f'SELECT * FROM "{n}"')]
    values = (v.decode("latin-1") if isinstance(v, bytes) else str(v) for r in rows for v in r)
    return "\n".join(values)
