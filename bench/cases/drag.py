"""Dragging the needle across a long log for five seconds, in Chromium."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import FloatRect, Page, Request

from bench.browsing import browsing, signed_in
from bench.harness import Bench, Section, fact, limit, percentile

SECONDS, STEP_MS = 5, 16
PART_MS, GROWTH = 80, 10


@dataclass
class Traffic:
    """The parts a page asked for: in which order, how long each took, in which order they came."""

    asked: dict[Request, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    late: int = 0  # answers that came after the answer to a later request for the same part

    def watch(self, page: Page) -> None:
        page.on("request", self._asked)
        page.on("requestfinished", self._answered)

    def _asked(self, request: Request) -> None:
        if request.headers.get("hx-request"):
            self.asked[request] = len(self.asked)

    def _answered(self, request: Request) -> None:
        if request not in self.asked:
            return
        number, path = self.asked[request], urlsplit(request.url).path
        self.milliseconds.append(request.timing["responseEnd"])
        self.late += number < self.newest.get(path, -1)
        self.newest[path] = max(number, self.newest.get(path, -1))


def run(bench: Bench) -> Section:
    """Drag once to warm up, then on; judge what was answered and what memory is left used."""
    seconds = bench.scaled(SECONDS, 1)
    with browsing(bench) as (server, browser):
        page = signed_in(browser, server)
        page.goto("/bench/events")
        page.wait_for_selector("#timeline[data-last]")
        _drag(page, seconds)
        before = _memory(page)
        traffic = Traffic()
        traffic.watch(page)
        for _ in range(bench.rounds):
            _drag(page, seconds)
        after = _memory(page)
    growth = max(0, after / before - 1) * 100
    p95 = percentile(traffic.milliseconds, 0.95)
    return Section(
        "drag",
        f"The needle is dragged to and fro for {seconds} s, {bench.rounds} times, over "
        f"{bench.long_log.count:,} events that the server has read; the events page follows.",
        [
            limit("a part, p95", p95, unit="ms", at_most=PART_MS),
            limit("answers that came out of order", traffic.late, unit="", at_most=0),
            limit("growth of the browser's memory", growth, unit="%", at_most=GROWTH),
            fact("parts asked for", len(traffic.asked), unit=""),
            fact("answered, the others were superseded", len(traffic.milliseconds), unit=""),
        ],
    )


def _drag(page: Page, seconds: float) -> None:
    """Move the needle across the bar and back, until the time is over; wait for the last answer."""
    box = _box(page)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.9, y)
    page.mouse.down()
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        share = abs(2 * (left / seconds) - 1)  # 1, 0, 1
        page.mouse.move(box["x"] + box["width"] * (0.05 + 0.85 * share), y)
        page.wait_for_timeout(STEP_MS)
    page.mouse.up()
    page.wait_for_load_state("networkidle")


def _box(page: Page) -> FloatRect:
    """Return where the bar is; it may be drawn anew just now."""
    bar = page.locator("#tl-zoom")
    while (box := bar.bounding_box()) is None:
        bar.wait_for()
    return box


def _memory(page: Page) -> float:
    """Return the bytes the page's scripts hold after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used
