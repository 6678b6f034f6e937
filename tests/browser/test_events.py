"""The event browser, by hand and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import trading
from tests.running import Evdebug, System


@pytest.fixture(scope="module")
def shop(server: Evdebug) -> System:
    return trading.system(server)


@pytest.fixture
def events(page: Page, shop: System) -> Page:
    """The event browser, live, with all its parts there."""
    page.goto(f"/{shop.slug}/events")
    ready(page)
    return page


def ready(page: Page) -> None:
    expect(page.locator("#needle")).to_be_visible()
    expect(page.locator("#q-count")).to_contain_text("match")


def first_row(page: Page) -> int:
    return int(page.locator("#results tr[data-pos]").first.get_attribute("data-pos") or 0)


def test_it_works(events: Page) -> None:
    expect(events.locator("#results tr[data-pos]")).to_have_count(60)
    expect(events.locator(".asof")).to_contain_text("live")
    expect(events.locator("#facets")).to_contain_text("OrderPlaced")
    expect(events.locator("#results .dl-ok").first).to_be_visible()


def test_a_typo_is_said_and_the_results_stay(events: Page, expected_errors: list[str]) -> None:
    expected_errors.append("422")
    before = first_row(events)
    events.fill("#q", "type:OrderPlaced typ:x")
    events.keyboard.press("Enter")
    message = events.locator("#q-msg")
    expect(message).to_be_visible()
    expect(message).to_contain_text("Column 18")
    expect(message).to_contain_text("Did you mean type?")
    expect(message.locator(".q-wavy")).to_have_text("typ")
    assert first_row(events) >= before
    assert events.locator("#results tr[data-pos]").count() == 60
    expect(events.locator("#facets")).to_contain_text("OrderPlaced")
    events.fill("#q", "type:OrderPlaced")
    events.keyboard.press("Enter")
    expect(message).to_be_hidden()
    expect(events.locator("#q-count")).to_contain_text("120")


@pytest.mark.slow
def test_typing_colours_and_suggests(events: Page) -> None:
    events.locator("#q").press_sequentially("ty")
    expect(events.locator("#q-sug:visible [data-end='2']").first).to_contain_text("type:")
    events.keyboard.press("ArrowDown")
    events.keyboard.press("Tab")
    expect(events.locator("#q")).to_have_value("type:")
    events.locator("#q").press_sequentially("Pay")
    expect(events.locator("#q-sug:visible [data-end='8']").first).to_contain_text("PaymentCaptured")
    events.keyboard.press("ArrowDown")
    events.keyboard.press("Enter")
    expect(events.locator("#q")).to_have_value("type:PaymentCaptured")
    expect(events.locator("#q-hl .q-k")).to_have_text(["type", ":"])
    events.keyboard.press("Enter")
    expect(events.locator("#q-count")).to_contain_text("120")
    expect(events.locator("#q-sug")).to_be_hidden()


@pytest.mark.slow
def test_facets_widen_and_narrow(events: Page) -> None:
    placed = events.locator(".fc", has_text="OrderPlaced")
    placed.click()
    expect(events.locator("#q")).to_have_value("type:OrderPlaced")
    expect(placed).to_have_attribute("aria-checked", "true")
    events.locator(".fc", has_text="PaymentCaptured").click()
    expect(events.locator("#q")).to_have_value("type:OrderPlaced,PaymentCaptured")
    placed.focus()
    events.keyboard.press(" ")
    expect(events.locator("#q")).to_have_value("type:PaymentCaptured")
    expect(events.locator("#results tr[data-pos]").first).to_contain_text("PaymentCaptured")


def test_older_rows_come_by_scrolling(events: Page) -> None:
    rows = events.locator("#results tr[data-pos]")
    expect(rows).to_have_count(60)
    events.locator("#results tr.more").scroll_into_view_if_needed()
    expect(rows).to_have_count(120)
    positions = [int(p) for p in rows.evaluate_all("rows => rows.map(r => r.dataset.pos)")]
    assert positions == sorted(set(positions), reverse=True)


@pytest.mark.slow
def test_a_page_further_back_has_a_way_forth(page: Page, shop: System) -> None:
    page.goto(f"/{shop.slug}/events?before=200")
    ready(page)
    assert first_row(page) < 200
    page.get_by_role("link", name="Newer matches").click()
    expect(page).to_have_url(re.compile("after="))
    expect(page.locator("#results tr[data-pos]").last).to_have_attribute(
        "data-pos", re.compile(r"^(199|2\d\d)$")
    )
    assert first_row(page) > 200
    page.go_back()
    expect(page).to_have_url(re.compile("before=200"))
    expect(page.locator("#results tr[data-pos]").first).to_have_attribute("data-pos", "199")


def test_the_drawer_by_mouse(events: Page) -> None:
    row = events.locator("#results tr[data-pos]").nth(2)
    position = row.get_attribute("data-pos")
    row.locator("td").nth(1).click()
    drawer = events.locator("#drawer")
    expect(drawer).to_contain_text("Where it came from")
    expect(events).to_have_url(re.compile(f"event={position}"))
    expect(row).to_have_attribute("aria-selected", "true")
    drawer.get_by_role("button", name="Next match").click()
    expect(events.locator("#results tr[data-pos]").nth(3)).to_have_attribute(
        "aria-selected", "true"
    )
    drawer.get_by_role("link", name="Close").click()
    expect(drawer).to_be_hidden()
    events.go_back()
    expect(drawer).to_be_visible()
    events.reload()
    expect(events.locator("#drawer")).to_contain_text("Where it came from")


@pytest.mark.slow
def test_the_drawer_by_keys(events: Page) -> None:
    events.keyboard.press("j")
    events.keyboard.press("j")
    expect(events.locator("#results tr[data-pos]").nth(1)).to_be_focused()
    events.keyboard.press("k")
    events.keyboard.press("Enter")
    expect(events.locator("#drawer")).to_contain_text("Where it came from")
    events.keyboard.press("Escape")
    expect(events.locator("#drawer")).to_be_hidden()


@pytest.mark.slow
def test_causes_are_followed(page: Page, shop: System) -> None:
    page.goto(f"/{shop.slug}/events?q=type:PaymentCaptured&event=7")
    drawer = page.locator("#drawer")
    expect(drawer.locator("h2")).to_have_text("PaymentCaptured")
    drawer.locator("a.ev", has_text="OrderPlaced").first.click()
    expect(drawer.locator("h2")).to_have_text("OrderPlaced")
    expect(page).to_have_url(re.compile("event=5"))
    expect(drawer).to_contain_text("payments")


@pytest.mark.slow
def test_views_of_the_data(page: Page, shop: System) -> None:
    page.goto(f"/{shop.slug}/events?event=5")
    drawer = page.locator("#drawer")
    expect(drawer.locator(".json")).to_contain_text("total")
    drawer.get_by_role("link", name="Hex").click()
    expect(drawer.locator(".hex")).to_contain_text("7b 22 74 6f")
    drawer.get_by_role("link", name="Raw").click()
    expect(drawer.locator(".raw")).to_contain_text('{"total"')


@pytest.mark.slow
def test_copying(page: Page, shop: System) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/{shop.slug}/events?event=5")
    page.get_by_label("Copy this event").click()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator(".toast")).to_contain_text("Copied as curl command")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl http")
    page.get_by_label("Copy this event").click()
    page.get_by_role("button", name="Copy link to this event").click()
    expect(page.locator(".toast").last).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert re.search(rf"/{shop.slug}/events\?(at=5&event=5|event=5&at=5)$", link)
    page.goto(link)
    expect(page.locator("#drawer h2")).to_have_text("OrderPlaced")


@pytest.mark.slow
def test_columns(events: Page) -> None:
    events.get_by_label("Add a column").click()
    events.get_by_role("link", name="amount").click()
    expect(events.locator("th", has_text="data.amount")).to_be_visible()
    expect(events).to_have_url(re.compile("col=amount"))
    events.get_by_label("Remove column amount").click()
    expect(events.locator("th", has_text="data.amount")).to_have_count(0)


def test_a_query_is_saved_and_found_again(events: Page) -> None:
    events.fill("#q", "type:OrderPlaced data.total>100")
    events.keyboard.press("Enter")
    expect(events.locator("#q-count")).to_contain_text("19")
    events.get_by_role("link", name="Saved").click()
    dialog = events.locator("#dialog")
    dialog.get_by_label("Name").first.fill("expensive")
    dialog.get_by_role("button", name="Save this query").click()
    expect(dialog.locator(".kept")).to_contain_text("expensive")
    events.keyboard.press("Escape")
    events.fill("#q", "")
    events.keyboard.press("Enter")
    expect(events.locator("#q-count")).to_contain_text("240")
    events.get_by_role("link", name="Saved").click()
    dialog.get_by_role("link", name="expensive").click()
    expect(events.locator("#q")).to_have_value("type:OrderPlaced data.total>100")
    expect(dialog).to_be_hidden()
    expect(events.locator("#q-count")).to_contain_text("19")


@pytest.mark.slow
def test_export(events: Page) -> None:
    events.fill("#q", "type:OrderPlaced")
    events.keyboard.press("Enter")
    expect(events.locator("#q-count")).to_contain_text("120")
    events.locator("summary", has_text="Export").click()
    with events.expect_download() as waiting:
        events.get_by_role("link", name="CloudEvents, one a line").click()
    assert len(waiting.value.path().read_text().splitlines()) == 120


@pytest.mark.slow
def test_ten_megabytes_open_without_freezing(page: Page, server: Evdebug) -> None:
    shop = server.system("heavy")  # its own: the others count what theirs holds
    rows = [{"id": n, "name": "x" * 400} for n in range(23_000)]
    (position,) = trading.send(shop, [{"id": "big", "type": "Big", "data": rows}])["positions"]
    page.goto(f"/{shop.slug}/events")
    ready(page)
    page.evaluate("""() => { window.longest = 0; let last = performance.now();
        const tick = () => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; requestAnimationFrame(tick); };
        requestAnimationFrame(tick); }""")
    page.evaluate(
        "p => { history.pushState({}, '', `?event=${p}`); document.body.dispatchEvent(new CustomEvent('drawer')); }",
        position,
    )
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("9.4\u00a0MB")
    assert page.evaluate("longest") < 3000  # drawn whole it would be many times that
    drawer.get_by_text("more", exact=False).last.click()
    expect(drawer.locator(".json")).to_contain_text("199", timeout=5000)
    assert drawer.locator("*").count() < 6000


@pytest.mark.slow
def test_without_script(new_context: object, signed_in: object, shop: System) -> None:
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()  # type: ignore[operator]
    page.goto(f"/{shop.slug}/events")
    expect(page).to_have_url(re.compile("draw=1"))
    expect(page.locator(".tl-bars")).to_be_visible()
    page.locator(".fc", has_text="OrderPlaced").click()
    expect(page.locator("#q-count")).to_contain_text("120")
    page.locator("#results a[data-open]").first.click()
    expect(page.locator("#drawer")).to_contain_text("Where it came from")
    page.get_by_role("link", name="Older matches").click()
    assert first_row(page) < 400
    page.get_by_label("Step back one event").click()
    expect(page).to_have_url(re.compile("go=previous"))
    page.fill("#jump-in", "#9")
    page.keyboard.press("Enter")
    expect(page.locator(".asof")).to_contain_text("#9")
    page.get_by_label("Bookmark this moment").click()
    page.get_by_label("Name").first.fill("kept without script")
    page.get_by_role("button", name="Bookmark this moment").click()
    expect(page.locator(".kept")).to_contain_text("kept without script")
