"""Sources in a browser: a tap from the form to events, with keys, by htmx and without script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.running import Evdebug, System


@pytest.fixture(scope="module")
def system(server: Evdebug) -> System:
    return server.system("tapped")


@pytest.mark.slow
def test_a_tap_from_the_form_to_its_events(page: Page, system: System, tmp_path: Path) -> None:
    logs = tmp_path / "a.ndjson"
    logs.write_text('{"kind":"Paid","order":"o-1"}\n{"kind":"Paid"\n')
    page.goto("/tapped/events")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Sources", level=1)).to_be_visible()
    page.get_by_role("link", name="Add a source").click()
    page.get_by_role("link", name="Files").click()
    page.locator("[name=name]").fill("logs")
    page.locator("[name='set.path']").fill(str(tmp_path))
    page.get_by_role("button", name="Check the connection").click()
    expect(page.get_by_text("1 files with")).to_be_visible()
    page.locator("#map-type").fill("data.kind")
    page.locator("#map-type").press("Tab")
    expect(page.locator("#checked").get_by_text("Paid", exact=True)).to_be_visible()
    found = Axe().run(page).response["violations"]
    assert not [rule for rule in found if rule["impact"] in ("serious", "critical")]
    page.get_by_role("button", name="Start receiving").click()
    expect(page.get_by_text("logs is added.")).to_be_visible()
    counts = page.get_by_text("2 received = 1 stored + 0 duplicates + 1 rejected").first
    expect(counts).to_be_visible(timeout=30_000)
    expect(page.get_by_text("invalid_json")).to_be_visible()
    with logs.open("a") as out:
        out.write('{"kind":"Refunded"}\n')
    expect(page.get_by_text("3 received = 2 stored").first).to_be_visible(timeout=30_000)
    page.goto("/tapped/events")
    expect(page.locator("#rows, table").get_by_text("Refunded").first).to_be_visible()


@pytest.mark.slow
def test_it_works_without_script(new_context: Any, signed_in: Any, system: System) -> None:
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()
    page.goto("/tapped/sources?add=files")
    page.locator("[name=name]").fill("quiet")
    page.locator("[name='set.path']").fill("/nowhere/quiet.ndjson")
    page.get_by_role("button", name="Check the connection").click()
    expect(page.get_by_text("Nothing is there yet")).to_be_visible()
    page.get_by_role("button", name="Save, stopped").click()
    expect(page.get_by_text("quiet is added.")).to_be_visible()
    expect(page.get_by_role("row", name="quiet")).to_contain_text("paused")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("quiet runs again.")).to_be_visible()
