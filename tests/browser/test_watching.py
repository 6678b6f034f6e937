"""Minutes on the Live page of the shop: no errors, and memory that stays flat.

TEST_WATCH_S says how long, 60 where it is not set; five minutes are a good evening's run. What a
person does to the page is done over and over meanwhile: both themes, pause, filter, rewind, play,
another tab. How busy the browser is depends on the machine's graphics: it is printed, and
judged by the benchmarks.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.test_live import HIDE
from tests.conftest import Servers
from tests.live.test_event_socket import memory
from tests.running import Evdebug
from tests.services import wait_for

WATCH_S = float(os.environ.get("TEST_WATCH_S", "60"))
MB = 2**20
SERVER_GROWS, HEAP_GROWS, NODES_GROW = 48 * MB, 8 * MB, 4000  # from one half to the other

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 2 * WATCH_S)]


@pytest.fixture(scope="module")
def server() -> Iterator[Evdebug]:
    """The shop, once it has sent its past."""
    servers = Servers()
    try:
        started = servers("--demo")
        for _ in range(4):  # a busy machine takes longer than one wait
            if "shop: open" in started.said():
                break
            time.sleep(15)
        wait_for(lambda: "shop: open" in started.said(), "the shop to have sent its past")
        yield started
    finally:
        servers.close()


class Gauge:
    """What the browser and the server use, measured while somebody looks."""

    def __init__(self, page: Page, server: Evdebug) -> None:
        self.page, self.server = page, server
        self.session: CDPSession = page.context.new_cdp_session(page)
        # Processor time of the thread: on a busy machine the clock says little.
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.watched = self.busy = 0.0  # seconds that somebody only looked, and of these it worked
        self.samples: list[tuple[int, int, int]] = []

    def metrics(self) -> dict[str, float]:
        found = self.session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: float(each["value"]) for each in found}

    def sample(self) -> None:
        """Note the memory of the server, and heap and nodes of the page once it is tidied."""
        self.session.send("HeapProfiler.collectGarbage")
        now = self.metrics()
        heap, nodes = int(now["JSHeapUsedSize"]), int(now["Nodes"])
        self.samples.append((memory(self.server), heap, nodes))

    def look(self, milliseconds: float) -> None:
        """Only look for a while."""
        began, before = time.monotonic(), self.metrics()["TaskDuration"]
        self.page.wait_for_timeout(milliseconds)
        self.busy += self.metrics()["TaskDuration"] - before
        self.watched += time.monotonic() - began

    def share(self) -> float:
        """Return the part of the time the main thread was busy while somebody only looked."""
        return self.busy / self.watched

    def grown(self) -> tuple[float, ...]:
        """Return how much each median of the last third is above that of the second."""
        third = len(self.samples) // 3
        middle, last = self.samples[third : 2 * third], self.samples[-third:]
        return tuple(
            median(b) - median(a)
            for a, b in zip(zip(*middle, strict=True), zip(*last, strict=True), strict=True)
        )


def doings(page: Page) -> list[Callable[[], Any]]:
    """Return what a person does, one thing after the other, each back to the live edge."""
    live = page.locator('#dock [data-act="live"]')
    field, pause = page.get_by_label("Filter the tail"), page.locator("#tail-pause")

    def paused() -> None:
        pause.click()
        expect(pause).to_contain_text("wait")
        pause.click()

    def filtered() -> None:
        for query in ("type:PaymentCaptured", ""):
            field.fill(query)
            field.press("Enter")
            page.wait_for_function(
                "query => new URLSearchParams(location.search).get('tail') === (query || null)",
                arg=query,
            )

    def rewound() -> None:
        page.locator("#tail tbody tr").nth(20).locator("a.pos").click()
        expect(page.locator("html")).to_have_attribute("data-mode", "past")
        page.get_by_label("Play", exact=True).click()
        page.wait_for_timeout(1500)
        live.click()
        expect(page.locator("html")).to_have_attribute("data-mode", "live")

    def elsewhere() -> None:
        page.evaluate(HIDE, True)
        page.wait_for_timeout(1500)
        page.evaluate(HIDE, False)

    def other_theme() -> None:
        page.get_by_role("button", name="Switch between light and dark").click()

    return [paused, other_theme, filtered, rewound, elsewhere]


def test_it_works(page: Page, server: Evdebug) -> None:
    page.goto("/shop/live")
    rows = page.locator("#tail tbody tr")
    expect(rows).to_have_count(200)
    for do in doings(page):  # once before it counts: what is loaded once is not growth
        do()
    gauge = Gauge(page, server)
    todo = itertools.cycle(doings(page))
    until = time.monotonic() + WATCH_S
    while time.monotonic() < until or len(gauge.samples) < 6:
        before = rows.first.get_attribute("data-row")
        gauge.look(min(8000, WATCH_S * 1000 / 12))
        expect(rows.first).not_to_have_attribute("data-row", str(before))
        next(todo)()
        gauge.sample()
    busy, (server_grows, heap_grows, nodes_grow) = gauge.share(), gauge.grown()
    print(
        f"{WATCH_S:.0f} s: main thread {busy:.1%} busy; server {server_grows / MB:+.1f} MB,"
        f" page {heap_grows / MB:+.1f} MB, {nodes_grow:+.0f} nodes; {gauge.samples}"
    )
    assert server_grows < SERVER_GROWS
    assert heap_grows < HEAP_GROWS
    assert nodes_grow < NODES_GROW
    expect(rows).to_have_count(200)


def test_the_planted_anomaly_leads_to_its_start_and_can_be_muted(
    page: Page, server: Evdebug
) -> None:
    page.goto("/shop/live")
    cards = page.locator(".attn article")
    card = cards.filter(has_text="PaymentCaptured rate")
    expect(card).to_be_visible(timeout=60_000)
    link = card.get_by_role("link", name="Rewind to start")
    start = str(link.get_attribute("data-seek"))
    link.click()
    expect(page.locator("html")).to_have_attribute("data-mode", "past")
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", start)
    page.wait_for_function(  # the newest row is that of the start, or one just before it
        "start => { const row = Number(document.querySelector('#tail tbody tr')?.dataset.row);"
        " return row <= start && row > start - 20; }",
        arg=int(start), timeout=20_000,
    )  # fmt: skip
    expect(card).to_have_count(0)  # nobody had noticed it then
    page.locator('#dock [data-act="live"]').click()
    expect(card).to_be_visible()
    card.get_by_role("button", name="Mute 1 h").click()
    expect(card).to_have_count(0)
    expect(page.locator(".attn")).to_contain_text("muted")
    page.reload()
    expect(page.locator(".attn")).to_contain_text("muted")
    expect(card).to_have_count(0)
