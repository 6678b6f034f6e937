"""Holding → on a busy entity: how many of its states a second are drawn, in Chromium."""

from __future__ import annotations

import time

from playwright.sync_api import Page

from bench.browsing import browsing, signed_in
from bench.harness import Bench, Section, limit
from tests.running import System

STATES, HELD_S, REPEAT_MS = 15, 4, 33
EVENTS, BATCH = 4000, 1000  # every second one is of the entity
DRAWN = """() => {
  window.drawn = new Set();
  document.addEventListener("htmx:afterSwap", () => {
    const current = document.querySelector("#entity .hs-e.hs-cur .hs-p");
    if (current) window.drawn.add(current.textContent);
  });
}"""


def run(bench: Bench) -> Section:
    """Hold the key as a keyboard would, repeating; count the states that were shown."""
    seconds = bench.scaled(HELD_S, 1)
    with browsing(bench) as (server, browser):
        _send(server.system("stepping"))
        page = signed_in(browser, server)
        page.goto("/stepping/state/stock-SKU7?at=1")
        page.wait_for_selector("#timeline[data-last]")
        page.evaluate(DRAWN)
        rates = [_held(page, seconds) for _ in range(bench.rounds)]
    return Section(
        "stepping",
        f"→ is held for {seconds} s, repeating every {REPEAT_MS} ms, {bench.rounds} times, on an "
        f"entity of {EVENTS // 2:,} events beside {bench.long_log.count:,} others; a step is a "
        "state that was drawn.",
        [limit("states drawn", min(rates), unit="/s", at_least=STATES)],
    )


def _send(system: System) -> None:
    events = [
        {
            "type": "StockReserved", "id": f"e{n}", "source": "/inventory",
            "stream": f"order-{n}" if n % 2 else "stock-SKU7",
            "data": {"available": EVENTS - n, "sku": "SKU7", "lines": [{"id": n % 7, "qty": n}]},
        }
        for n in range(EVENTS)
    ]  # fmt: skip
    for start in range(0, EVENTS, BATCH):
        status, answer = system.send(*events[start : start + BATCH])
        assert (status, answer["stored"]) == (200, BATCH)


def _held(page: Page, seconds: float) -> float:
    """Hold the key and return the states a second that were drawn meanwhile."""
    page.locator("#main").focus()
    before: int = page.evaluate("window.drawn.size")
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        page.keyboard.down("ArrowRight")
        page.wait_for_timeout(REPEAT_MS)
    took = time.monotonic() - began
    drawn: int = page.evaluate("window.drawn.size")
    page.keyboard.up("ArrowRight")
    page.wait_for_load_state("networkidle")
    return (drawn - before) / took
