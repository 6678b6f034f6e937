"""The demo shop: its past, sent through the door, and a first start from nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from bench.harness import ROOT, Bench, Section, clean_environment, limit
from tests.running import Evdebug
from tests.services import free_port

PAST_S, PAST_EVENTS, FIRST_PAGE_S = 15, 50_000, 60
SENT = re.compile(r"sending the past: ([\d\s]+) entries in ([\d.]+) s")
LINK = re.compile(rb"http://\S+/signin/\S+")
NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".git", "data", "node_modules", ".*_cache", "__pycache__"
)
TIMEOUT_S = 300


def run(bench: Bench) -> Section:
    """Start with the demo and wait for its past; then `make run` on a copy of the files."""
    seconds, events = zip(*(_past(bench, n) for n in range(bench.rounds)), strict=True)
    rows = [
        limit("its past is stored", median(seconds), unit="s", at_most=PAST_S),
        limit("events of its past", min(events), unit="", at_least=PAST_EVENTS),
    ]
    if not bench.quick:  # it installs every package
        rows.append(
            limit(
                "`make run` to the first page", _first_page(bench), unit="s", at_most=FIRST_PAGE_S
            )
        )
    return Section(
        "shop",
        "The demo shop sends its past over HTTP while the server runs, each on one core. The first "
        "start is `make run` on a copy of the files without a `.venv`, the packages in pip's "
        "cache, until the events page shows an event.",
        rows,
    )


def _past(bench: Bench, number: int) -> tuple[float, int]:
    """Return how long the shop's past took and how many entries it had."""
    with Evdebug(bench.folder / f"shop-{number}", arguments=("--demo",)) as server:
        ends = time.monotonic() + TIMEOUT_S
        while not (found := SENT.search(server.log.read_text())):
            if time.monotonic() > ends:
                raise RuntimeError(
                    f"The shop's past is not sent after {TIMEOUT_S} s: {server.said()}"
                )
            time.sleep(0.1)
    return float(found[2]), int(re.sub(r"\s", "", found[1]))


def _first_page(bench: Bench) -> float:
    """Return the seconds from `make run` to a page with events."""
    copy = bench.folder / "fresh"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    unwanted = {"VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL"}
    environment = {k: v for k, v in clean_environment().items() if k not in unwanted}
    output = bench.folder / "make-run"
    started = time.monotonic()
    with output.open("wb") as out:
        make = subprocess.Popen(
            ["make", "run", f"PORT={free_port()}"],
            cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=out, start_new_session=True,
        )  # fmt: skip
    try:
        browser = build_opener(HTTPCookieProcessor(CookieJar()))
        while not (link := _link(output)):
            if make.poll() is not None or time.monotonic() > started + TIMEOUT_S:
                raise RuntimeError(f"`make run` printed no link; it ended with {make.poll()}.")
            time.sleep(0.05)
        _wait_for_events(browser, link, started + TIMEOUT_S)
        return time.monotonic() - started
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.wait(60)


def _link(output: Path) -> str:
    found = LINK.search(output.read_bytes())
    return found[0].decode() if found else ""


def _wait_for_events(browser: OpenerDirector, link: str, deadline: float) -> None:
    """Follow the sign-in link and return once the events page has a row."""
    browser.open(link).read()
    address = link.partition("/signin/")[0] + "/shop/events"
    while '<tr data-pos="' not in browser.open(address).read().decode():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{address} shows no event.")
        time.sleep(0.05)
