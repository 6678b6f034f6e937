"""The shop's story in a browser: an evdebug that knows its services, and what people do there."""

from __future__ import annotations

import re
import uuid
from itertools import groupby
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, Page, expect

from tests.running import Evdebug
from tests.sandbox.history import story_lines

LONG = 60_000  # ms a run may take on a busy machine
CODE = "examples.shop.services"


def story(server: Evdebug) -> str:
    """Send the story of order-1042 to a system of its own and return the system's slug."""
    made = server.system(f"shop-{uuid.uuid4().hex[:6]}")
    for door, some in groupby(story_lines(), key=lambda each: each[0]):
        body = "\n".join(line for _, line in some).encode()
        headers = {
            "Authorization": f"Bearer {made.ingest_key}", "Content-Type": "application/x-ndjson",
        }  # fmt: skip
        with urlopen(Request(f"{server.url}/v1/{door}", data=body, headers=headers)) as answer:
            assert answer.status == 200
    return made.slug


def placed(page: Page, system: str) -> None:
    """Open the planted order's OrderPlaced."""
    page.goto(f"/{system}/events?q=stream:order-1042+type:OrderPlaced")
    text = page.locator("tbody .pos").first.inner_text()
    page.goto(f"/{system}/events?event={re.sub('[^0-9]', '', text)}")


def forked(page: Page, system: str) -> None:
    """Make a sandbox from the planted order on."""
    placed(page, system)
    page.get_by_role("button", name="Sandbox from here").click()
    expect(page.locator(".run-p .note")).to_contain_text("Ready")


def what_if_not(page: Page, system: str) -> None:
    """Make a sandbox without the second delivery, and run it."""
    placed(page, system)
    second = page.locator("#drawer .dv").filter(has_text="attempt 2")
    second.get_by_role("button", name="What if not?").click()


def note(page: Page) -> Locator:
    """Return what the page says of a run: how it is, and how far."""
    return page.locator(".run-p .note")


def verdict(page: Page, *words: str) -> None:
    """Wait for the end of a run, and for its figures."""
    expect(note(page)).to_contain_text("Finished", timeout=LONG)
    for each in words:
        expect(page.locator(".verdict")).to_contain_text(each)
