"""Chromium on a Live page: how busy its main thread is, and what it and the server hold."""

from __future__ import annotations

import time
from typing import NamedTuple

from playwright.sync_api import CDPSession, sync_playwright

from bench.browsing import signed_in
from bench.sockets import memory
from tests import services
from tests.running import System

ROW = "#tail tbody tr"


class Watched(NamedTuple):
    """What a while on the page cost. What grew did so in the second half."""

    busy: float  # of the main thread, its processor time
    page: int  # bytes its heap grew, tidied
    server: int  # bytes the server's process grew


def watched(system: System, seconds: float) -> Watched:
    """Look at a system's Live page for a while.  raises  services.Missing"""
    assert system.server.process is not None
    pid = system.server.process.pid
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=services.chromium(), args=list(services.CHROMIUM_FLAGS[1:])
        )
        page = signed_in(browser, system.server)
        page.goto(f"/{system.slug}/live")
        page.wait_for_selector(ROW)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        began, before = time.monotonic(), _metric(session, "TaskDuration")
        page.wait_for_timeout(seconds * 500)
        newest = page.locator(ROW).first.inner_text()
        heap, resident = _heap(session), memory(pid)
        page.wait_for_timeout(seconds * 500)
        busy = (_metric(session, "TaskDuration") - before) / (time.monotonic() - began)
        assert page.locator(ROW).first.inner_text() != newest, "the page has stopped"
        grown = Watched(busy, _heap(session) - heap, memory(pid) - resident)
        browser.close()
    return grown


def _heap(session: CDPSession) -> int:
    session.send("HeapProfiler.collectGarbage")
    return int(_metric(session, "JSHeapUsedSize"))


def _metric(session: CDPSession, name: str) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == name)
