"""The events page over a long log: the server's time, and the first paint in Chromium."""

from __future__ import annotations

from statistics import median

from playwright.sync_api import Browser

from bench.browsing import browsing, signed_in
from bench.harness import Bench, Row, Section, limit, percentile, say
from tests import services
from tests.running import Evdebug

PAGE_MS, PART_MS, QUERIES, COLD_KIB, PAINT_MS = 60, 30, 12, 150, 1000


def run(bench: Bench) -> Section:
    """Measure in process, then in a browser where there is one."""
    log = bench.long_log
    answer = bench.step("events_page", log.environment, times=bench.scaled(300, 6))
    rows = [
        limit("page, server time, p95", _p95_ms(answer["page"]), unit="ms", at_most=PAGE_MS),
        *(
            limit(f"{part}, server time, p95", _p95_ms(seconds), unit="ms", at_most=PART_MS)
            for part, seconds in answer["parts"].items()
        ),
        limit("queries of a page", answer["queries"], unit="", at_most=QUERIES),
        limit("cold load, gzipped", answer["cold"] / 1024, unit="KiB", at_most=COLD_KIB),
        *_painted(bench),
    ]
    return Section(
        "events_page",
        f"`/{{system}}/events` of {log.count:,} events (SQLite) as of random moments, without a "
        "filter and by type, source, stream and correlation in turn.",
        rows,
    )


def _p95_ms(seconds: list[float]) -> float:
    return percentile(seconds, 0.95) * 1000


def _painted(bench: Bench) -> list[Row]:
    try:
        with browsing(bench) as (server, browser):
            paints = [_first_paint(browser, server) for _ in range(bench.scaled(5, 1))]
    except services.Missing as missing:
        say(f"  without the first paint: {missing}")
        return []
    return [limit("first paint in Chromium, cold", median(paints), unit="ms", at_most=PAINT_MS)]


def _first_paint(browser: Browser, server: Evdebug) -> float:
    """Open the page with an empty cache; return when the first content was seen."""
    page = signed_in(browser, server)
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto("/bench/events", wait_until="load")
    paint = page.evaluate(
        "() => new Promise(found => new PerformanceObserver(list => found("
        "list.getEntriesByName('first-contentful-paint')[0]?.startTime))"
        ".observe({type: 'paint', buffered: true}))"
    )
    page.context.close()
    return float(paint)
