"""A person at a browser: Chromium on a running evdebug, watched for errors it hides from people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.running import Evdebug
from tests.services import CHROMIUM_FLAGS

WIDE = {"width": 1440, "height": 900}
TIMEOUT_MS = 10_000


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium. Per module: its event loop must be gone before other tests use the database."""
    with sync_playwright() as playwright:
        # Playwright adds --headless itself.
        started = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=list(CHROMIUM_FLAGS[1:])
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, server: Evdebug) -> Any:
    """The cookies of an administrator who followed a sign-in link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.sign_in_link())
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def expected_errors() -> list[str]:
    """Patterns of console errors a test provokes; whatever matches none fails it."""
    return []


@pytest.fixture
def console() -> list[str]:
    """Errors the browser noted so far: of the console, uncaught, or against the CSP."""
    return []


@pytest.fixture
def new_context(
    browser: Browser, server: Evdebug, expected_errors: list[str], console: list[str]
) -> Iterator[Any]:
    """Open contexts (windows of their own cookies); options are those of Playwright."""
    contexts: list[BrowserContext] = []

    def watch(page: Page) -> None:
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: console.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: (
                console.append(f"{page.url}: {said.text} ({said.location.get('url', '')})")
                if said.type == "error"  # what the Content-Security-Policy forbids is one, too
                else None
            ),
        )

    def opened(**options: Any) -> BrowserContext:
        context = browser.new_context(**({"base_url": server.url, "viewport": WIDE} | options))
        context.on("page", watch)
        contexts.append(context)
        return context

    yield opened
    for context in contexts:
        context.close()
    unexpected = [e for e in console if not any(re.search(p, e) for p in expected_errors)]
    assert not unexpected, "The browser's console has errors:\n" + "\n".join(unexpected)


@pytest.fixture
def visitor(new_context: Any) -> Page:
    """A page of somebody who has not signed in."""
    page: Page = new_context().new_page()
    return page


@pytest.fixture
def page(new_context: Any, signed_in: Any) -> Page:
    """A page of a signed-in administrator, 1440 wide. Do not sign out in it: use `visitor`."""
    opened: Page = new_context(storage_state=signed_in).new_page()
    return opened
