"""The shop's story in a browser: what if not, the bug mended by hand, every delivery twice."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.shopping import CODE, LONG, forked, story, verdict, what_if_not
from tests.browser.test_every_page import looked_at
from tests.conftest import Servers
from tests.running import Evdebug

BEGINS = "    order = event.data\n"
FIX = """    if ctx.state(event.data["order"]).get("status", "placed") != "placed":
        ctx.skip("this order is paid")
        return
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Evdebug]:
    """A running evdebug that knows the shop's services."""
    servers = Servers()
    try:
        yield servers(EVDEBUG_CODE=CODE)
    finally:
        servers.close()


@pytest.fixture(scope="module")
def system(server: Evdebug) -> str:
    return story(server)


def test_what_if_not(page: Page, system: str) -> None:
    what_if_not(page, system)
    verdict(page, "stock-SKU7.available", "−1", "1 gone", "All 5 differences descend")

    expect(page.locator("html")).to_have_attribute("data-mode", "fork")
    lanes = page.locator(".sb-lanes")
    expect(lanes.locator(".ln-missing")).to_have_count(4)
    expect(lanes.locator(".ln-new")).to_contain_text("StockReleased")
    expect(page.locator(".sb-recipe")).to_contain_text("Skip delivery 2 of OrderPlaced")
    expect(page.locator(".sb-recipe")).to_contain_text("acquire/capture")

    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)

    page.get_by_role("link", name="stock-SKU7", exact=True).click()
    expect(page.locator("#entity h2").first).to_have_text("stock-SKU7")
    expect(page.locator("html")).to_have_attribute("data-mode", "fork")
    page.get_by_role("link", name="Leave the sandbox").click()
    expect(page.locator("html")).to_have_attribute("data-mode", "live")


@pytest.mark.slow
def test_the_bug_mended_by_hand(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_label("payments handlers").select_option("changed here")
    source = page.get_by_label("Handlers of payments")
    expect(source).to_have_value(re.compile("def authorize"))
    text = source.input_value()
    source.fill(text.replace(BEGINS, FIX + BEGINS, 1))
    page.get_by_role("button", name="Use this code").click()
    expect(page.get_by_label("Handlers of payments")).to_have_value(re.compile("is paid"))
    expect(page.locator(".sb-recipe")).to_contain_text("It runs in the interpreter.")
    page.get_by_role("button", name="Run", exact=True).click()
    verdict(page, "−1", "1 gone", "Unexpected changes")
    expect(page.locator(".ln-missing")).to_have_count(4)


@pytest.mark.slow
def test_a_switch_turns_an_edit_off(page: Page, system: str) -> None:
    what_if_not(page, system)
    verdict(page, "1 gone")
    page.locator(".eds .sw").click()
    expect(page.locator(".sb-recipe")).to_contain_text("0 of 1 on")
    page.get_by_role("button", name="Run again").click()
    verdict(page, "Nothing differs.")
    expect(page.locator(".runs a")).to_have_count(2)
    page.get_by_role("button", name="Save as test").click()
    expect(page.get_by_role("button", name="Saved as test")).to_be_disabled()


def test_every_delivery_twice_names_payments(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_role("button", name="Every delivery twice").click()
    expect(page.locator(".run-p .note")).to_contain_text("Finished", timeout=LONG)
    named = page.locator("[aria-labelledby=h-twins] tr").filter(has=page.locator(".fail"))
    expect(named.filter(has_text="payments")).to_have_count(2)
    expect(named.filter(has_text=re.compile("orders|shipping"))).to_have_count(0)


@pytest.mark.slow
def test_an_edit_that_cannot_be_meant_is_refused_in_words(
    page: Page, system: str, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    forked(page, system)
    page.get_by_role("link", name="Delay").click()
    page.get_by_label("Event or delivery at").fill("1")
    page.get_by_role("button", name="Add this edit").click()
    expect(page.get_by_role("alert")).to_contain_text("is not after the fork point")


@pytest.mark.slow
def test_what_fails_is_shrunk_and_taken_along(page: Page, system: str) -> None:
    what_if_not(page, system)
    verdict(page, "1 gone")
    page.get_by_role("button", name="Shrink").click()
    verdict(page, "inputs", "enough", "with 1 of 1 edits")
    expect(page.locator(".sb-folds")).to_contain_text("OrderPlaced")
    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)
    page.get_by_label("Redact").fill("hash ~email")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert b"@" not in archive.read("run/events.ndjson")
        assert "run/expected.json" in archive.namelist()


@pytest.mark.slow
def test_a_copy_outside_is_handed_nothing_before_a_dry_run(page: Page, system: str) -> None:
    forked(page, system)
    page.get_by_text("Hand events to a copy outside").click()
    page.get_by_label("Service", exact=True).last.fill("payments")
    page.get_by_label("Address, or tap").fill("http://127.0.0.1:9/events")
    page.get_by_role("button", name="Use the copy").click()
    expect(page.locator("#info")).to_contain_text("runs hand events to http://127.0.0.1:9/events")
    page.get_by_role("button", name="Dry run").click()
    verdict(page, "Nothing was sent.")
    expect(page.locator(".sb-folds")).to_contain_text("PaymentAuthorized")
    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("alert")).to_contain_text("payments is not there", timeout=LONG)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".run-p .note")).to_contain_text("Cancelled", timeout=LONG)
