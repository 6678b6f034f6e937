"""The State page in a browser: scrub, blame, find, watch, compare; by mouse and by keyboard."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.running import Evdebug


@pytest.fixture(scope="module")
def system(server: Evdebug) -> str:
    """A system whose stock-SKU7 falls from 3 to -1, one step every third event."""
    slug = f"state-{uuid.uuid4().hex[:8]}"
    events: list[dict[str, Any]] = []
    for n in range(15):
        stream = "stock-SKU7" if n % 3 == 0 else f"order-{n}"
        data = (
            {"available": 3 - n // 3, "sku": "SKU7", "lines": [{"id": n // 6, "qty": n}]}
            if n % 3 == 0
            else {"status": "<b>placed</b>"}
        )
        events.append({
            "type": "StockReserved" if n % 3 == 0 else "OrderPlaced", "id": f"e{n}",
            "source": "/inventory", "stream": stream, "data": data,
            "time": f"2026-05-12T12:00:{n:02d}Z",
        })  # fmt: skip
    status, answer = server.system(slug).send(*events)
    assert (status, answer["stored"]) == (200, 15)
    return slug


def opened(page: Page, system: str, query: str = "?at=13", stream: str = "stock-SKU7") -> Page:
    page.goto(f"/{system}/state/{stream}{query}")
    expect(page.locator("#entity h2").first).to_have_text(stream)
    expect(page.locator("#timeline svg").first).to_be_attached()
    return page


def value(page: Page, name: str) -> Any:
    key = page.locator("a.k").filter(has_text=re.compile(rf"^{name}$"))
    return page.locator(".bl", has=key)


def test_the_page_opens_what_changed_last(page: Page, system: str) -> None:
    page.goto(f"/{system}/state")
    expect(page.locator("#entity h2").first).to_have_text("order-14")
    expect(page.locator("#entities .en").first).to_contain_text("order-14")
    expect(page.locator(".bl code")).to_contain_text(["{", "<b>placed</b>"])


@pytest.mark.slow
def test_blame_names_the_event(page: Page, system: str) -> None:
    opened(page, system)
    expect(value(page, "available")).to_contain_text("\u22121")
    expect(value(page, "available").locator(".was")).to_have_text("0")
    expect(value(page, "available")).to_have_class(re.compile("bl-ch"))
    expect(page.locator("a.bl-cur").first).to_contain_text("#13")
    expect(value(page, "sku").locator("a.bl-g")).to_contain_text("#1")


def test_arrows_step_by_the_entitys_events(page: Page, system: str) -> None:
    opened(page, system)
    page.locator("#main").focus()
    page.keyboard.press("ArrowLeft")
    expect(value(page, "available")).to_contain_text("0")
    expect(page.locator("#jump-in")).to_have_value("#10")
    page.keyboard.press("ArrowLeft")
    expect(value(page, "available").locator(".v-n")).to_have_text("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(value(page, "available")).to_contain_text("\u22121")
    page.wait_for_url(re.compile(r"at=13\b"))


@pytest.mark.slow
def test_the_last_move_is_drawn_though_an_answer_is_on_its_way(page: Page, system: str) -> None:
    opened(page, system)
    told = "(e) => { document.body.dataset.told = e.detail.at; }"
    page.evaluate(f"() => document.body.addEventListener('playhead', {told})")
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/states/entity?*", hold_the_first)
    page.locator("#main").focus()
    for position in (10, 7):
        page.keyboard.press("ArrowLeft")
        expect(page.locator("body")).to_have_attribute("data-told", str(position))
    held[0].continue_()
    expect(value(page, "available").locator(".v-n")).to_have_text("1")
    expect(page.locator("#jump-in")).to_have_value("#7")


@pytest.mark.slow
def test_clicking_a_setter_or_a_column_goes_there(page: Page, system: str) -> None:
    opened(page, system)
    page.locator(".hs-e", has_text="#7").click()
    expect(value(page, "available")).to_contain_text("1")
    expect(page.locator(".hs-e.hs-cur .hs-p")).to_have_text("#7")
    value(page, "sku").locator("a.bl-g").click()
    expect(value(page, "available")).to_contain_text("3")


@pytest.mark.slow
def test_before_its_first_event_it_is_not_there(page: Page, system: str) -> None:
    opened(page, system, "?at=1", stream="order-4")
    expect(page.locator("#entity .empty h3")).to_have_text("Not there yet")


def test_find_names_the_event_and_leads_there(page: Page, system: str) -> None:
    opened(page, system, "")
    page.locator("#find-expr").fill("stock-SKU7.available < 0")
    page.locator("#find-expr").press("Enter")
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("First true at #13")
    dialog.get_by_role("link", name="Go there").click()
    expect(dialog).not_to_be_visible()
    expect(page.locator("#jump-in")).to_have_value("#13")


@pytest.mark.slow
def test_bisect_shows_its_steps(page: Page, system: str) -> None:
    opened(page, system, "")
    page.locator("#find-expr").fill("state.available < 2")
    page.locator("#find-how").select_option("bisect")
    page.locator(".find1 button").click()
    expect(page.locator("#dialog")).to_contain_text("First true at #7")
    expect(page.locator("#dialog .bi tr").first).to_be_visible()


@pytest.mark.slow
def test_a_wrong_expression_is_explained(
    page: Page, system: str, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    opened(page, system)
    page.locator("#find-expr").fill("state.available <")
    page.locator("#find-expr").press("Enter")
    expect(page.locator("#dialog [role=alert]")).to_contain_text("a value is missing")


def test_a_rule_shows_where_it_breaks(page: Page, system: str) -> None:
    opened(page, system)
    page.locator("#watch-expr").fill("stock-SKU7.available >= 0")
    page.locator("#watches input[name=rule]").check()
    page.locator("#watch-expr").press("Enter")
    expect(page.locator("#watches .wt-v")).to_contain_text("false")
    expect(page.locator("#watches .wt-b")).to_contain_text("#13")
    page.locator("#main").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#watches .wt-v")).to_contain_text("true")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#entity .tag-fail")).to_contain_text("rule broken")
    expect(page.locator(".bl-rule")).to_contain_text("stock-SKU7.available >= 0")
    page.get_by_role("button", name="Remove the watch").click()
    expect(page.locator("#watches .wt")).to_have_count(0)


@pytest.mark.slow
def test_tabs(page: Page, system: str) -> None:
    opened(page, system)
    page.get_by_role("link", name="Diff to previous").click()
    expect(page.locator(".diff .del").first).to_contain_text("/available: 0")
    expect(page.locator(".diff .add").first).to_contain_text("/available: -1")
    page.get_by_role("link", name="Raw").click()
    expect(page.locator(".raws pre.codebox")).to_contain_text('"available": -1')
    expect(page.locator(".raws-s pre.codebox")).to_contain_text('"available": -1')
    page.locator(".tabs").get_by_role("link", name="Compare two moments").click()
    page.locator("input[name=a]").fill("#1")
    page.locator("select[name=what]").select_option("all")
    page.get_by_role("button", name="Compare").click()
    row = page.locator("tr", has_text="/available")
    expect(row).to_contain_text("\u22124")


@pytest.mark.slow
def test_the_list_is_filtered_by_a_condition(page: Page, system: str) -> None:
    opened(page, system)
    page.locator("#en-f").fill("available < 0")
    page.locator("#en-f").press("Enter")
    expect(page.locator("#entities .en")).to_have_count(1)
    expect(page.locator("#entities .en")).to_contain_text("stock-SKU7")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_draw_without_errors(
    new_context: Any, signed_in: Any, system: str, theme: str
) -> None:
    page = new_context(storage_state=signed_in, color_scheme=theme).new_page()
    opened(page, system)
    expect(page.locator(".hs-l").first).to_be_attached()


@pytest.mark.slow
def test_without_script_the_page_is_complete(new_context: Any, signed_in: Any, system: str) -> None:
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()
    page.goto(f"/{system}/state/stock-SKU7?at=13&draw=1")
    expect(value(page, "available")).to_contain_text("\u22121")
    page.get_by_role("link", name="Previous change").click()
    expect(value(page, "available")).to_contain_text("0")


@pytest.mark.slow
def test_a_broken_rule_marks_the_bar(page: Page, system: str) -> None:
    opened(page, system)
    page.locator("#watch-expr").fill("stock-SKU7.available > 1")
    page.locator("#watches input[name=rule]").check()
    page.locator("#watch-expr").press("Enter")
    expect(page.locator("#watches .wt")).to_have_count(1)
    page.reload()
    mark = page.locator('#timeline [title*="Rule broken"], #timeline [aria-label*="Rule broken"]')
    expect(mark.first).to_be_attached()
    page.get_by_role("button", name="Remove the watch").click()
    expect(page.locator("#watches .wt")).to_have_count(0)
