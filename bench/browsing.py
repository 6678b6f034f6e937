"""Chromium on an evdebug that serves the long log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from bench.harness import Bench
from tests import services
from tests.running import Evdebug


@contextmanager
def browsing(bench: Bench) -> Iterator[tuple[Evdebug, Browser]]:
    """Start a server on the long log, as it is once its tasks have read it, and a browser.

    raises  services.Missing
    """
    chromium = services.chromium()
    bench.step("read", bench.long_log.environment)
    server = Evdebug(bench.folder / "served", settings=bench.long_log.environment)
    with server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(services.CHROMIUM_FLAGS[1:])
        )
        yield server, browser
        browser.close()


def signed_in(browser: Browser, server: Evdebug) -> Page:
    """Return a page of an administrator, in a context of its own, 1440 wide."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(server.sign_in_link())
    return page
