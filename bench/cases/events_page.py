"""The events page over a long log: the server's time, and the first paint in Chromium."""

from __future__ import annotations

from statistics import median

from playwright.sync_api import Browser, sync_playwright

from bench.harness import Bench, LongLog, Row, Section, limit, percentile, say
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
        *_painted(bench, log),
    ]
    return Section(
        "events_page",
        f"`/{{system}}/events` of {log.count:,} events (SQLite) as of random moments, without a "
        "filter and by type, source, stream and correlation in turn.",
        rows,
    )


def _p95_ms(seconds: list[float]) -> float:
    return percentile(seconds, 0.95) * 1000


def _painted(bench: Bench, log: LongLog) -> list[Row]:
    try:
        chromium = services.chromium()
    except services.Missing as missing:
        say(f"  without the first paint: {missing}")
        return []
    server = Evdebug(bench.folder / "served", settings=log.environment)
    with server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(services.CHROMIUM_FLAGS[1:])
        )
        paints = [_first_paint(browser, server) for _ in range(bench.scaled(5, 1))]
    return [limit("first paint in Chromium, cold", median(paints), unit="ms", at_most=PAINT_MS)]


def _first_paint(browser: Browser, server: Evdebug) -> float:
    """Sign in, then open the page with an empty cache; return when the first content was seen."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.sign_in_link())
    if button := page.query_selector("form[method=post] button"):
        button.click()
        page.wait_for_url(lambda url: "/signin" not in url)
    context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto(f"{server.url}/bench/events", wait_until="load")
    paint = page.evaluate(
        "() => new Promise(found => new PerformanceObserver(list => found("
        "list.getEntriesByName('first-contentful-paint')[0]?.startTime))"
        ".observe({type: 'paint', buffered: true}))"
    )
    context.close()
    return float(paint)
