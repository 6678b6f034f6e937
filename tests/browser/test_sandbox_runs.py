"""Runs of a sandbox in a browser: at a pace, stopped, failing, checked, by keyboard, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.shopping import (
    CODE,
    LONG,
    forked,
    note,
    story,
    verdict,
    what_if_not,
)  # fmt: skip
from tests.browser.test_every_page import looked_at, visit
from tests.conftest import Servers
from tests.running import Evdebug

pytestmark = pytest.mark.slow
TABS = 150  # to where a person without a mouse wants to be, at most
IS_FOCUSED = "e => e === document.activeElement"
NAME = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"


@pytest.fixture(scope="module")
def server() -> Iterator[Evdebug]:
    """A running evdebug that knows the shop's services."""
    servers = Servers()
    try:
        yield servers(EVDEBUG_CODE=f"{CODE},examples.shop.reducers")
    finally:
        servers.close()


@pytest.fixture(scope="module")
def system(server: Evdebug) -> str:
    return story(server)


def fine(page: Page) -> None:
    """Fail if the page is not accessible, or wider than its window, in a theme."""
    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)


def ends(page: Page, how: str) -> None:
    """Wait until a run is as said."""
    expect(note(page).locator("b")).to_have_text(how, timeout=LONG)


def test_a_payload_is_changed_and_a_call_nobody_recorded_is_answered(
    page: Page, system: str
) -> None:
    forked(page, system)
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("button", name="Show its payload").click()
    payload = page.get_by_label("Payload")
    text = payload.input_value()
    assert '"total": 129.0' in text
    payload.fill(text.replace('"total": 129.0', '"total": 99.5', 1))
    page.get_by_role("button", name="Add this edit").click()
    expect(page.locator(".sb-recipe")).to_contain_text("Edit payload of OrderPlaced")
    page.get_by_role("button", name="Run", exact=True).click()
    ends(page, "Stopped")
    expect(page.get_by_role("alert")).to_contain_text("acquire/authorize")
    expect(page.get_by_role("alert")).to_contain_text("99.5")
    fine(page)
    page.get_by_role("button", name="Go on").click()
    verdict(page, "Unexpected changes")
    expect(page.locator(".ln-changed").first).to_contain_text("99.5")


def test_one_event_at_a_time(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_role("button", name="Run one event at a time").click()
    ends(page, "Paused")
    expect(note(page)).to_contain_text(re.compile(r"\b1 of "))
    fine(page)
    page.get_by_role("button", name="Step one event").click()
    expect(note(page)).to_contain_text(re.compile(r"Paused.*\b2 of "), timeout=LONG)
    expect(page.locator(".verdict")).to_contain_text("So far nothing differs")
    page.get_by_role("button", name="Resume").click()
    verdict(page, "Nothing differs.")


def test_it_goes_at_the_recorded_pace_until_a_person_ends_it(page: Page, system: str) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"/{system}/sandboxes")
    page.get_by_label("Name").fill("at its pace")
    page.get_by_label("Fork after position or time").fill("1")
    page.get_by_role("button", name="New sandbox").click()
    page.locator("select[name=speed]").select_option("as recorded")
    page.get_by_role("button", name="Run", exact=True).click()
    ends(page, "Replaying")
    expect(note(page)).to_contain_text("left", timeout=LONG)
    assert any(re.search(r"/ws/.*/sandboxes/\d+/runs/1$", each) for each in sockets)

    page.get_by_role("button", name="Pause").click()
    ends(page, "Paused")
    expect(page.locator("select[name=speed]")).to_have_value("recorded")
    page.get_by_role("button", name="Resume").click()
    ends(page, "Replaying")
    held = re.compile(r"/part\b")
    page.route(held, unchanged)  # what is looked at stays
    fine(page)
    page.unroute(held, unchanged)
    page.get_by_role("button", name="Cancel", exact=True).click()
    ends(page, "Cancelled")
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def unchanged(route: Route) -> None:
    """Answer that there is nothing to draw."""
    route.fulfill(status=204)


def test_it_stops_where_something_holds(
    page: Page, system: str, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    forked(page, system)
    page.get_by_label("Stop when").fill("stock-SKU7.available <")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("stop_when")
    page.get_by_label("Stop when").fill("stock-SKU7.available < 0")
    page.get_by_role("button", name="Run", exact=True).click()
    ends(page, "Stopped")
    expect(page.get_by_role("alert")).to_contain_text("stock-SKU7.available < 0 holds after #")


def test_what_fails_says_why(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_text("Run another module").click()
    page.get_by_label("Module", exact=True).fill("examples.shop.services.orders")
    form = page.locator("form").filter(has=page.get_by_label("Module", exact=True))
    form.get_by_label("Service").select_option("payments")
    page.get_by_role("button", name="Use this module").click()
    expect(page.get_by_label("payments handlers")).to_have_value("module")
    page.get_by_role("button", name="Run", exact=True).click()
    ends(page, "Failed")
    expect(page.get_by_role("alert")).to_contain_text("no handler of payments")
    fine(page)


def test_a_sandbox_is_renamed(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_text("Rename it").click()
    page.get_by_label("Name", exact=True).fill("what <i>if</i>")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.locator("h1")).to_have_text("what <i>if</i>")


@pytest.mark.parametrize(
    ("check", "where"),
    [
        ("Neighbours swapped", ".sb-lanes"), ("Each call failing once", ".sb-lanes"),
        ("Every delivery twice", "[aria-labelledby=h-twins]"), ("Today's code against history", ".sb-folds"),
    ],
)  # fmt: skip
def test_a_check_is_one_click(page: Page, system: str, check: str, where: str) -> None:
    forked(page, system)
    page.get_by_role("button", name=check).click()
    verdict(page)
    expect(page.locator(where)).to_be_visible()
    expect(page.locator(".runs a").first).to_contain_text(check.lower())
    fine(page)


@pytest.mark.parametrize("where", ["events", "traces", "state", "state/order-1042", "live"])
def test_the_fork_is_a_timeline(page: Page, system: str, where: str) -> None:
    what_if_not(page, system)
    verdict(page)
    timeline = re.search(r"timeline=(\d+)", page.url)
    assert timeline
    visit(page, f"/{system}/{where}?timeline={timeline[1]}")
    expect(page.locator("html")).to_have_attribute("data-mode", "fork")
    expect(page.get_by_role("link", name="Leave the sandbox")).to_be_visible()
    fine(page)


def test_the_fork_has_one_capture_less(page: Page, system: str) -> None:
    what_if_not(page, system)
    verdict(page)
    timeline = re.search(r"timeline=(\d+)", page.url)
    assert timeline
    captures = f"/{system}/events?q=type:PaymentCaptured+correlation:c-7f3a91"
    for address, many in ((captures, 2), (f"{captures}&timeline={timeline[1]}", 1)):
        visit(page, address)
        expect(page.locator("tbody .pos")).to_have_count(many)


def tabbed(page: Page, there: Callable[[], bool]) -> None:
    """Press Tab until the focus is where it should be."""
    trail: list[str] = []
    for _ in range(TABS):
        if there():
            return
        page.keyboard.press("Tab")
        trail.append(page.evaluate(NAME)[:30].strip())
    raise AssertionError(f"{TABS} tabs do not get there, but to {trail}.")


def test_from_an_event_to_a_verdict_without_a_mouse(page: Page, system: str) -> None:
    visit(page, f"/{system}/events?q=stream:order-1042+type:OrderPlaced")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer h2").first).to_contain_text("OrderPlaced")
    second = page.locator("#drawer .dv").filter(has_text="attempt 2")
    button = second.get_by_role("button", name="What if not?")
    tabbed(page, lambda: button.evaluate(IS_FOCUSED))
    page.keyboard.press("Enter")
    verdict(page, "1 gone")
    tabbed(page, lambda: page.evaluate(NAME).startswith("Use this edit"))
    page.keyboard.press("Space")
    expect(page.locator(".sb-recipe")).to_contain_text("0 of 1 on")
    tabbed(page, lambda: page.evaluate(NAME).strip() == "Run again")
    page.keyboard.press("Enter")
    verdict(page, "Nothing differs.")


def test_it_works_without_scripts(new_context: Any, signed_in: Any, system: str) -> None:
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()
    what_if_not(page, system)
    looked_again(page)
    verdict(page, "−1", "1 gone")
    page.get_by_role("button", name="Off", exact=True).click()
    expect(page.locator(".sb-recipe")).to_contain_text("0 of 1 on")
    page.get_by_role("button", name="Run again").click()
    looked_again(page)
    verdict(page, "Nothing differs.")


def looked_again(page: Page) -> None:
    """Follow the link that draws a run again, until it has ended."""
    for _ in range(LONG // 100):
        expect(note(page)).to_be_visible()
        again = page.get_by_role("link", name="Look again")
        if not again.count():
            return
        page.goto(again.get_attribute("href") or "")
        page.wait_for_timeout(100)
