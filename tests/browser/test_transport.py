"""The transport by hand and by keyboard: one playhead for the whole page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import groupby
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser import trading
from tests.running import Evdebug, System
from tests.services import wait_for


@pytest.fixture(scope="module")
def shop(server: Evdebug) -> System:
    return trading.system(server)


def at(page: Page) -> int | None:
    """Return where the address says the playhead is; None for live."""
    found = parse_qs(urlsplit(page.url).query).get("at")
    return int(found[0]) if found else None


def shown(page: Page) -> int:
    """Return where the labels say the playhead is."""
    text = page.locator(".asof [data-bind=pos]").inner_text()
    return int(re.sub(r"\D", "", text))


def settled(page: Page) -> None:
    """Wait until address, labels, needle and table agree."""
    page.wait_for_function(
        """() => {
        const digits = (s) => Number(s.replace(/\\D/g, ''));
        const at = Number(new URL(location.href).searchParams.get('at')) || null;
        const shown = digits(document.querySelector('.asof [data-bind=pos]').textContent);
        const row = Number(document.querySelector('#results tr[data-pos]')?.dataset.pos ?? 0);
        const busy = document.querySelector('.htmx-request');
        return (at === null || at === shown) && row <= shown && shown - row < 8 && !busy
            && Number(document.getElementById('needle').getAttribute('aria-valuenow')) === shown; }""",
        timeout=60_000,
    )


def awaited(page: Page, done: Callable[[], bool], what: str) -> None:
    """Wait for something this process is told by the browser."""

    def look() -> bool:
        page.wait_for_timeout(20)  # only meanwhile it is told anything
        return done()

    wait_for(look, what)


def stand(page: Page, shop: System, position: int | None = None) -> Page:
    page.goto(f"/{shop.slug}/events" + (f"?at={position}" if position else ""))
    expect(page.locator("#needle")).to_be_visible()
    settled(page)
    return page


def point(page: Page, share: float) -> tuple[float, float]:
    box = page.locator("#tl-zoom").bounding_box()
    assert box
    return box["x"] + box["width"] * share, box["y"] + 40


def test_dragging_moves_labels_at_once_and_the_page_follows(page: Page, shop: System) -> None:
    stand(page, shop, 200)
    asked: list[int] = []
    page.evaluate("""() => { window.swapped = []; document.addEventListener('htmx:afterSwap', (e) => {
        const path = e.detail.pathInfo?.responsePath ?? '';
        if (path.includes('/events/results'))
            window.swapped.push(Number(new URL(path, location).searchParams.get('at'))); }); }""")

    def note(request: Request) -> None:
        if "/events/results" in request.url:
            asked.append(int(parse_qs(urlsplit(request.url).query)["at"][0]))

    page.on("request", note)
    page.mouse.move(*point(page, 0.3))
    began = time.monotonic()
    page.mouse.down()
    seen = []
    for step in range(30):
        page.mouse.move(*point(page, 0.3 + step / 100))
        seen.append(shown(page))
    page.mouse.up()
    expect(page.locator("[data-dragging]")).to_have_count(0)
    assert seen == sorted(seen)
    assert len(set(seen)) > 15
    settled(page)
    assert at(page) == shown(page) >= seen[-1]
    # The last question is about where the hand stopped; it may still be held back for a moment.
    awaited(page, lambda: asked[-1] == at(page), "the last part")
    settled(page)
    swapped = page.evaluate("window.swapped")
    rest = iter(asked)
    swaps = [at for at, _ in groupby(swapped)]
    assert all(at in rest for at in swaps), (asked, swaps)  # no answer out of order
    assert swapped[-1] == at(page)
    assert len(asked) <= (time.monotonic() - began) / 0.05 + 2


@pytest.mark.slow
def test_a_move_while_an_answer_is_under_way_is_not_forgotten(page: Page, shop: System) -> None:
    stand(page, shop, 200)
    held: list[Route] = []
    page.route("**/events/results*", lambda route: held.append(route))
    for step in (1, 2):
        page.keyboard.press("ArrowRight")
        awaited(page, lambda: bool(held), "the part to be asked for")
        page.wait_for_timeout(200 * step)  # longer than moves are held back for
    assert len(held) == 1  # one question at a time
    there = shown(page)
    held[0].continue_()
    awaited(page, lambda: len(held) == 2, "the next question")
    assert parse_qs(urlsplit(held[1].request.url).query)["at"] == [str(there)]
    held[1].continue_()
    settled(page)
    assert shown(page) == there
    page.unroute_all(behavior="ignoreErrors")


def test_a_move_before_the_timeline_is_there_is_not_forgotten(page: Page, shop: System) -> None:
    held: list[Route] = []
    page.route("**/dock?*", lambda route: held.append(route))
    page.goto(f"/{shop.slug}/events?at=200&event=150")
    page.get_by_role("link", name="Rewind to here").click()
    awaited(page, lambda: bool(held), "the timeline to be asked for")
    assert shown(page) == 200
    held[0].continue_()
    page.unroute_all()
    expect(page).to_have_url(re.compile("[?&]at=150"))
    settled(page)
    assert shown(page) == 150


@pytest.mark.slow
def test_a_part_is_not_replaced_under_a_pressed_pointer(page: Page, shop: System) -> None:
    stand(page, shop, 200)
    page.evaluate("""() => { window.kept = 0; addEventListener('htmx:beforeSwap', (e) => {
        if (e.detail.target.id === 'results' && !e.detail.shouldSwap) window.kept += 1; }); }""")
    row = page.locator("#results tr[data-pos]").nth(3)
    wanted = row.get_attribute("data-pos")
    row.locator("td").nth(1).hover()
    page.mouse.down()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => window.kept > 0")
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"event={wanted}"))
    settled(page)
    assert shown(page) > 200


@pytest.mark.slow
def test_dragging_to_the_right_edge_goes_live(page: Page, shop: System) -> None:
    stand(page, shop, 200)
    page.mouse.move(*point(page, 0.5))
    page.mouse.down()
    page.mouse.move(*point(page, 1.0))
    page.mouse.up()
    expect(page.locator("html")).to_have_attribute("data-mode", "live")
    expect(page).to_have_url(re.compile(r"/events$"))
    expect(page.locator(".live-btn")).to_have_attribute("aria-pressed", "true")


@pytest.mark.slow
def test_back_and_forward_move_the_playhead(page: Page, shop: System) -> None:
    stand(page, shop, 100)
    page.locator("#jump-in").fill("#200")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("at=200"))
    settled(page)
    page.wait_for_timeout(1000)  # a new gesture is a new entry of the history
    page.locator("#jump-in").fill("300")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("at=300"))
    settled(page)
    for position in (200, 100):
        page.go_back()
        expect(page).to_have_url(re.compile(f"at={position}"))
        settled(page)
        assert shown(page) == position
    page.go_forward()
    expect(page).to_have_url(re.compile("at=200"))
    settled(page)
    page.reload()
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", "200")


def test_a_link_brings_anybody_to_the_same_moment(page: Page, shop: System) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    stand(page, shop, 123)
    page.keyboard.press("y")
    expect(page.locator(".toast")).to_contain_text("Link to this moment copied")
    link = page.evaluate("navigator.clipboard.readText()")
    page.goto(link)
    expect(page.locator(".asof")).to_contain_text("#123")
    for href in page.locator("a[data-keep-at], #results a[data-open]").evaluate_all(
        "l => l.map(a => a.href)"
    ):
        assert "at=123" in href


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("ArrowRight", 101, 103), ("ArrowLeft", 103, 101), ("Shift+ArrowRight", 101, 121),
        ("Shift+ArrowLeft", 121, 101), ("]", 101, 158), ("[", 200, 158), ("Home", 200, 1),
    ],
)  # fmt: skip
def test_keys_move_the_playhead(
    page: Page, shop: System, key: str, before: int, after: int
) -> None:
    stand(page, shop, before)
    page.keyboard.press(key)
    expect(page).to_have_url(re.compile(f"at={after}(&|$)"))
    settled(page)
    assert shown(page) == after


@pytest.mark.slow
@pytest.mark.parametrize("key", ["End", "l"])
def test_keys_go_live(page: Page, shop: System, key: str) -> None:
    stand(page, shop, 50)
    page.keyboard.press(key)
    expect(page.locator("html")).to_have_attribute("data-mode", "live")
    assert at(page) is None


@pytest.mark.slow
def test_a_held_key_does_not_queue(page: Page, shop: System) -> None:
    stand(page, shop, 101)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("at=141"))
    settled(page)
    assert shown(page) == 141


def test_the_needle_is_a_slider(page: Page, shop: System) -> None:
    stand(page, shop, 101)
    needle = page.get_by_role("slider", name="Playhead")
    needle.focus()
    page.keyboard.press("ArrowRight")
    expect(needle).to_have_attribute("aria-valuenow", "103")
    expect(needle).to_have_attribute(
        "aria-valuetext", re.compile(r"Position 103, \d\d:\d\d:\d\d\.\d{3}")
    )
    expect(page.locator("#said")).to_contain_text("PaymentCaptured, payments, payment-25")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "position"),
    [("#1 2 3", None), ("77", 77), ("+10s", 108), ("−10s", 92), ("nonsense", None)],
)
def test_what_may_be_typed(
    page: Page, shop: System, typed: str, position: int | None, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    stand(page, shop, 100)
    page.locator("#jump-in").fill(typed)
    page.keyboard.press("Enter")
    if typed == "nonsense":
        expect(page.locator(".toast")).to_contain_text("Type a position, a time")
        assert shown(page) == 100
        return
    expect(page).not_to_have_url(re.compile("at=100"))
    settled(page)
    if position:
        assert abs(shown(page) - position) <= 1
    else:
        assert shown(page) == 123


@pytest.mark.slow
def test_a_time_of_day_is_that_of_the_viewers_zone(
    new_context: object, signed_in: object, shop: System
) -> None:
    context = new_context(storage_state=signed_in, timezone_id="Asia/Kolkata")  # type: ignore[operator]
    page = stand(context.new_page(), shop, 241)
    clock = page.locator(".jump-t").inner_text()
    row = page.locator("#results tr[data-pos='241'] time")
    expect(row).to_have_text(clock)
    assert "+5:30" in (row.get_attribute("title") or "") or "IST" in (
        row.get_attribute("title") or ""
    )
    page.locator("#jump-in").fill("#10")
    page.keyboard.press("Enter")
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", "10")
    page.locator("#jump-in").fill(clock)
    page.keyboard.press("Enter")
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", "241")


@pytest.mark.slow
def test_playing_moves_at_a_multiple_of_the_recorded_pace(page: Page, shop: System) -> None:
    stand(page, shop, 41)
    page.locator(".speed select").select_option("25×")
    page.keyboard.press(" ")
    page.wait_for_function(
        "() => document.getElementById('needle').getAttribute('aria-valuenow') > 60"
    )
    began, first = time.monotonic(), shown(page)
    page.wait_for_timeout(1500)
    page.keyboard.press(" ")
    pace = (shown(page) - first) / (time.monotonic() - began)
    assert 8 < pace < 40  # four positions every 5 s, times 25, is 20 a second
    expect(page.get_by_label("Play", exact=True)).to_be_visible()
    settled(page)
    still = shown(page)
    page.wait_for_timeout(300)
    assert shown(page) == still


@pytest.mark.slow
def test_zooming_by_buttons_keys_wheel_and_shift(page: Page, shop: System) -> None:
    stand(page, shop, 240)

    def span() -> float:
        data = page.locator("#timeline:not([data-loading]):not(.htmx-request)")
        return float(data.get_attribute("data-t1") or 0) - float(data.get_attribute("data-t0") or 0)

    def until(test: str, bound: float) -> float:
        page.wait_for_function(
            """([test, bound]) => { const { t0, t1, loading } = document.getElementById('timeline').dataset;
                return loading === undefined && (test === '<' ? t1 - t0 < bound : t1 - t0 >= bound); }""",
            arg=[test, bound],
        )
        return span()

    whole = span()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("zoom="))
    near = until("<", whole)
    page.keyboard.press("-")
    until(">=", near + 1)
    page.mouse.move(*point(page, 0.5))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    near = until("<", whole * 0.8)
    page.keyboard.down("Shift")
    page.mouse.move(*point(page, 0.4))
    page.mouse.down()
    page.mouse.move(*point(page, 0.6))
    page.mouse.up()
    page.keyboard.up("Shift")
    until("<", near / 2)
    assert shown(page) == 240
    page.mouse.dblclick(*point(page, 0.5))
    until(">=", whole)


@pytest.mark.slow
def test_the_overview_moves_the_window(page: Page, shop: System) -> None:
    stand(page, shop, 240)
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("zoom="))
    brush = page.locator("#brush")
    expect(brush).not_to_have_attribute("x", "0.000%")  # it was, while all was in view
    expect(page.locator("#timeline")).not_to_have_attribute("data-loading", "")
    before = brush.get_attribute("x")
    page.locator("#tl-over").click(position={"x": 60, "y": 8})
    expect(brush).not_to_have_attribute("x", before or "")
    expect(page.locator("#timeline")).not_to_have_attribute("data-loading", "")


@pytest.mark.slow
def test_live_follows_the_log(page: Page, shop: System) -> None:
    stand(page, shop)
    before = shown(page)
    trading.send(shop, [{"type": "FreshlyBaked", "source": "/bakery", "data": {}}])
    expect(page.locator("#results tr[data-pos]").first).to_contain_text("FreshlyBaked")
    settled(page)
    assert shown(page) > before
    assert at(page) is None


@pytest.mark.slow
def test_the_past_stays_while_the_log_grows(page: Page, shop: System) -> None:
    stand(page, shop, 100)
    trading.send(shop, [{"type": "Later", "data": {}}])
    page.evaluate("document.getElementById('timeline').dispatchEvent(new CustomEvent('tick'))")
    settled(page)
    assert shown(page) == at(page) == 100


def test_a_bookmark_is_on_the_bar_and_leads_back(page: Page, shop: System) -> None:
    stand(page, shop, 201)
    page.keyboard.press("b")
    dialog = page.locator("#dialog")
    expect(dialog).to_be_visible()
    page.keyboard.type("the moment <b>")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Bookmarked")
    mark = page.locator(".mark.m-flag")
    expect(mark).to_have_attribute("aria-label", "Bookmark: the moment <b>")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("Home")
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", "1")
    mark.click()
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", "201")
    page.keyboard.press("b")
    dialog.locator("summary", has_text="the moment").locator("svg").last.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(mark).to_have_count(0)


@pytest.mark.slow
def test_a_lost_connection_is_said_and_heals(
    page: Page, shop: System, expected_errors: list[str]
) -> None:
    expected_errors += ["ERR_INTERNET_DISCONNECTED", "htmx:sendError", "htmx:afterRequest"]
    stand(page, shop)
    before = shown(page)
    page.context.set_offline(True)
    banner = page.locator("#banner")
    expect(banner).to_contain_text("Connection lost")
    expect(banner).to_contain_text("Recording goes on")
    expect(page.locator("html")).to_have_attribute("data-mode", "past")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".toast").last).to_contain_text("The server does not answer")
    page.locator("#jump-in").fill("14:32")
    page.keyboard.press("Enter")
    expect(page.locator(".toast").last).to_contain_text("The server does not answer")
    trading.send(shop, [{"type": "Meanwhile", "data": {}}])
    banner.get_by_role("button", name="Try now").click()
    expect(banner).to_contain_text("Connection lost")
    page.context.set_offline(False)  # it tries again by itself, every so many seconds
    expect(banner).to_contain_text("arrived meanwhile", timeout=40_000)
    assert shown(page) == before  # coming back does not move the playhead
    banner.get_by_role("button", name="Go live").click()
    expect(page.locator("html")).to_have_attribute("data-mode", "live")
    expect(page.locator("#results tr[data-pos]").first).to_contain_text("Meanwhile")


@pytest.mark.slow
def test_single_keys_can_be_turned_off(page: Page, shop: System) -> None:
    page.goto("/account")
    page.get_by_text("Single keys do things").click()
    page.get_by_role("button", name="Save").first.click()
    try:
        stand(page, shop, 100)
        page.keyboard.press("l")
        page.keyboard.press("b")
        page.keyboard.press("?")
        expect(page.locator("dialog[open]")).to_have_count(0)
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile("at=101"))
    finally:
        page.goto("/account")
        page.get_by_text("Single keys do things").click()
        page.get_by_role("button", name="Save").first.click()


@pytest.mark.slow
def test_dragging_for_seconds_leaves_no_memory_behind(page: Page, shop: System) -> None:
    stand(page, shop, 100)
    session = page.context.new_cdp_session(page)

    def nodes() -> int:
        session.send("HeapProfiler.collectGarbage")
        return int(session.send("Memory.getDOMCounters")["nodes"])

    (left, y), (right, _) = point(page, 0.2), point(page, 0.8)

    def drag(times: int) -> None:
        page.mouse.move(left, y)
        page.mouse.down()
        for step in range(times):
            page.mouse.move(left + (right - left) * (step % 50) / 50, y)
            page.wait_for_timeout(10)
        page.mouse.up()
        settled(page)

    drag(50)
    before = nodes()
    drag(250)
    assert nodes() < before * 1.5
