"""Code that makes states, in a browser: a file that is edited, a reducer that is typed, searches."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Servers
from tests.running import Evdebug

SUBJECT = """
from evdebug.sdk import reducer

@reducer("stock", streams="stock-*")
def stock(state, event):
    return {**(state or {}), **event.data, "made_by": "the first code"}
"""
SLOW = """
import time

@reducer("slow", streams="e-*")
def slow(state, event):
    time.sleep(0.001)
    return {"seen": (state or {"seen": 0})["seen"] + 1}

@reducer("totals", key=None)
def totals(state, event):
    return {"events": (state or {"events": 0})["events"] + 1}
"""
MANY = 2000


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module EVDEBUG_CODE names."""
    path = tmp_path_factory.mktemp("subject") / "subject_in_browser.py"
    path.write_text(SUBJECT)
    return path


@pytest.fixture(scope="module")
def server(code: Path) -> Iterator[Evdebug]:
    servers = Servers()
    try:
        yield servers(EVDEBUG_CODE=code.stem, PYTHONPATH=str(code.parent), EVDEBUG_FIND_WAIT_MS="0")
    finally:
        servers.close()


@pytest.fixture(scope="module")
def system(server: Evdebug) -> str:
    """A shop whose stock-SKU7 falls from 3 to -1; events of others between."""
    slug = f"code-{uuid.uuid4().hex[:8]}"
    events: list[dict[str, Any]] = []
    for n in range(15):
        name = "stock-SKU7" if n % 3 == 0 else f"order-{n}"
        data = {"available": 3 - n // 3, "sku": "SKU7"} if n % 3 == 0 else {"status": "placed"}
        events.append({
            "type": "StockReserved" if n % 3 == 0 else "OrderPlaced", "id": f"e{n}",
            "source": "/inventory", "stream": name, "data": data,
            "time": f"2026-05-12T12:00:{n:02d}Z",
        })  # fmt: skip
    status, answer = server.system(slug).send(*events)
    assert (status, answer["stored"]) == (200, 15)
    return slug


def value(page: Page, name: str) -> Any:
    key = page.locator("a.k").filter(has_text=re.compile(rf"^{name}$"))
    return page.locator(".bl", has=key)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_from_the_bar_to_the_event_to_the_code(
    new_context: Any, signed_in: Any, system: str, code: Path, theme: str
) -> None:
    page = new_context(storage_state=signed_in, color_scheme=theme).new_page()
    page.goto(f"/{system}/state/stock-SKU7?at=10&projection=stock")
    expect(value(page, "available")).to_contain_text("0")
    # The rule, by keyboard; the bar says where it broke.
    page.locator("#watch-expr").fill("stock-SKU7.available >= 0")
    page.locator("#watches input[name=rule]").press("Space")
    page.locator("#watch-expr").press("Enter")
    expect(page.locator("#watches .wt")).to_have_count(1)
    page.reload()
    mark = page.locator('#timeline [title*="Rule broken"], #timeline [aria-label*="Rule broken"]')
    expect(mark.first).to_be_attached()
    # Scrubbing to the moment: blame names the event.
    page.locator("#main").focus()
    page.keyboard.press("ArrowRight")
    expect(value(page, "available")).to_contain_text("\u22121")
    expect(page.locator("a.bl-cur").first).to_contain_text("#13")
    expect(page.locator("#entity .tag-fail")).to_contain_text("rule broken")
    # Find names it, too.
    page.locator("#find-expr").fill("stock-SKU7.available < 0")
    page.locator("#find-expr").press("Enter")
    expect(page.locator("#dialog")).to_contain_text("First true at #13")
    expect(page.locator("#dialog")).to_contain_text("/available")
    page.keyboard.press("Escape")
    # The file is edited: the page folds again and says so.
    expect(value(page, "made_by")).to_contain_text("the first code")
    code.write_text(SUBJECT.replace("the first", f"the {theme}"))
    expect(page.locator("#toasts")).to_contain_text("folded again")
    expect(value(page, "made_by")).to_contain_text(f"the {theme} code")
    expect(page.locator("#jump-in")).to_have_value("#13")
    # It breaks: the page says where; it is mended: the page goes on.
    code.write_text("def (")
    expect(page.locator("#entity [role=alert]")).to_contain_text("SyntaxError")
    code.write_text(SUBJECT)
    expect(value(page, "made_by")).to_contain_text("the first code")
    page.get_by_role("button", name="Remove the watch").click()
    expect(page.locator("#watches .wt")).to_have_count(0)


@pytest.mark.slow
def test_a_category_is_watched_and_leads_to_what_breaks_it(page: Page, system: str) -> None:
    page.goto(f"/{system}/state/stock-SKU7?at=10&projection=stock")
    page.locator("#watch-expr").fill("state.available >= 0")
    page.locator("#watches select[name=over]").select_option("category")
    page.locator("#watches input[name=rule]").check()
    page.locator("#watch-expr").press("Enter")
    watch = page.locator("#watches .wt")
    expect(watch.locator(".tag", has_text="stock-*")).to_be_visible()
    expect(watch.locator(".wt-v")).to_contain_text("true")
    page.locator("#main").focus()
    page.keyboard.press("ArrowRight")
    expect(watch.locator(".wt-v")).to_contain_text("false")
    expect(watch).to_contain_text("False of stock-SKU7")
    page.set_viewport_size({"width": 768, "height": 900})
    tag = watch.locator(".tag", has_text="stock-*").bounding_box()
    room = watch.bounding_box()
    assert tag
    assert room
    assert tag["x"] + tag["width"] <= room["x"] + room["width"]
    assert watch.locator(".wt-x").evaluate("el => el.scrollWidth <= el.clientWidth")
    page.get_by_role("button", name="Remove the watch").click()
    expect(watch).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_history_to_scale_leads_to_its_events(
    new_context: Any, signed_in: Any, system: str, theme: str
) -> None:
    page = new_context(storage_state=signed_in, color_scheme=theme).new_page()
    page.goto(f"/{system}/state/stock-SKU7?at=13&field=/available")
    page.get_by_role("link", name="To scale").press("Enter")
    dots = page.locator(".hs circle")
    expect(dots).to_have_count(5)
    expect(page.locator(".hs a[data-seek][aria-current=true]")).to_have_attribute("data-seek", "13")
    page.locator(".hs a[data-seek='7']").press("Enter")
    expect(page.locator("#jump-in")).to_have_value("#7")
    expect(page.locator(".hs a[data-seek][aria-current=true]")).to_have_attribute("data-seek", "7")
    expect(value(page, "available")).to_contain_text("1")


@pytest.mark.slow
def test_a_fold_by_code_says_how_far_it_is_and_arrives(
    page: Page, server: Evdebug, code: Path
) -> None:
    code.write_text(SUBJECT + SLOW)
    slug = f"slow-{uuid.uuid4().hex[:8]}"
    events = [
        {"type": "Moved", "id": f"m{n}", "source": "/s", "stream": "e-1", "data": {"n": n}}
        for n in range(1500)
    ]
    status, answer = server.system(slug).send(*events)
    assert (status, answer["stored"]) == (200, 1500)
    page.goto(f"/{slug}/state/e-1?projection=slow")
    expect(page.locator("#entity [role=status]")).to_contain_text(re.compile(r"of 1\s500\sevents"))
    expect(value(page, "seen")).to_contain_text("1500", timeout=60_000)
    # The read model beside it, from the list.
    page.locator("#entities a.en", has_text="totals").click()
    expect(page.locator("#entity h2").first).to_have_text("totals")
    expect(value(page, "events")).to_contain_text("1500", timeout=60_000)
    page.locator("#main").focus()
    page.keyboard.press("ArrowLeft")
    expect(value(page, "events")).to_contain_text("1499")
    page.locator("#entities a.en", has_text="e-1").click()
    expect(page.locator("#entity h2").first).to_have_text("e-1")
    assert "projection" not in page.url
    code.write_text(SUBJECT)


@pytest.mark.slow
def test_a_reducer_is_typed_and_its_mistake_mended(
    page: Page, system: str, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    page.goto(f"/{system}/state/stock-SKU7?at=13")
    page.locator("#entity .menu summary").press("Enter")
    page.get_by_role("link", name="Write one…").press("Enter")
    dialog = page.locator("#dialog")
    expect(dialog.locator("input[name=streams]")).to_have_value("stock-*")
    area = dialog.locator("textarea")
    area.fill("def reducer(state, event:\n    return 1")
    dialog.get_by_role("button", name="Keep and look").press("Enter")
    expect(dialog.locator("[role=alert]")).to_contain_text("SyntaxError")
    area.fill("def reducer(state, event):\n    return {'left': event.data['available'] * 10}")
    dialog.get_by_role("button", name="Keep and look").press("Enter")
    expect(value(page, "left")).to_contain_text("\u221210")
    expect(page.locator("#entity .st-h")).to_contain_text("my-stock@")
    page.locator("#main").focus()
    page.keyboard.press("ArrowLeft")
    expect(value(page, "left")).to_contain_text("0")


@pytest.mark.slow
def test_a_long_search_says_how_far_it_is(page: Page, server: Evdebug) -> None:
    slug = f"many-{uuid.uuid4().hex[:8]}"
    events = [
        {"type": "Moved", "id": f"m{n}", "source": "/s", "stream": f"e-{n % 50}", "data": {"n": n}}
        for n in range(MANY)
    ]
    status, answer = server.system(slug).send(*events)
    assert (status, answer["stored"]) == (200, MANY)
    page.goto(f"/{slug}/state/e-1")
    page.locator("#find-expr").fill("state.n < 0")
    page.locator("#find-how").select_option("all")
    page.locator(".find1 button").click()
    expect(page.locator("#search-run")).to_contain_text(re.compile(r"of 2\s000 events"))
    expect(page.locator("#search-run .bn-ok")).to_contain_text("Never true", timeout=60_000)
    expect(page.locator("#search-run")).to_contain_text("100%")
