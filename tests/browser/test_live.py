"""The Live page: it moves by itself, and says and survives what happens to the way to the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser import trading
from tests.browser.hearing import Hearing
from tests.live.proxy import Proxy
from tests.running import Evdebug, System

LOST = ["WebSocket connection", "ERR_", "htmx:", "503"]
OUTAGE_MS = 40_000
expect.set_options(timeout=20_000)
HIDE = """(hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange')); }"""


@pytest.fixture(scope="module")
def shop(server: Evdebug) -> System:
    return trading.system(server, orders=60)


@pytest.fixture
def proxy(server: Evdebug) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.close()


def stand(page: Page, shop: System, query: str = "", base: str = "") -> Page:
    page.goto(f"{base}/{shop.slug}/live{query}")
    expect(page.locator("#needle")).to_be_visible()
    return page


def send(shop: System, *types: str) -> int:
    status, answer = shop.send(*({"type": t, "source": "/web", "channel": "orders"} for t in types))
    assert status == 200
    return int(answer["head"])


def rows(page: Page) -> list[str]:
    found: list[str] = page.locator("#tail tbody tr").evaluate_all(
        "rows => rows.map(r => r.dataset.row + ' ' + r.textContent.replace(/\\s+/g, ''))"
    )
    return found


def arrives(page: Page, position: int, timeout: float = OUTAGE_MS) -> None:
    """Wait until the newest row is that of a position."""
    first = page.locator("#tail tbody tr").first
    expect(first).to_have_attribute("data-row", str(position), timeout=timeout)


def test_it_moves_by_itself(page: Page, shop: System) -> None:
    stand(page, shop)
    before = len(rows(page))
    arrives(page, send(shop, "Fresh", "Fresher"))
    assert len(rows(page)) == before + 2
    expect(page.locator('[data-part="types"]')).to_contain_text("Fresher")
    expect(page.locator('[data-part="flow"] svg.bus-svg')).to_have_attribute(
        "aria-label", re.compile("services? on")
    )
    expect(page.locator('.asof [data-bind="asof"]')).to_have_text("live")


MOVING = """(bus) => bus.getAnimations({ subtree: true }).map(a => a.effect.getKeyframes()
    .flatMap(frame => Object.keys(frame))
    .filter(name => !['offset', 'computedOffset', 'easing', 'composite'].includes(name)))"""


@pytest.mark.slow
def test_what_moves_is_not_drawn_anew(page: Page, shop: System) -> None:
    """Anything but `transform` would keep the page's main thread busy at every step."""
    stand(page, shop)
    arrives(page, send(shop, "Moving"))
    bus = page.locator(".bus-svg")
    expect(bus.locator(".dots.right")).not_to_have_count(0)
    moving = bus.evaluate(MOVING)
    assert moving
    assert all(set(properties) == {"transform"} for properties in moving)


def test_pause_keeps_the_rows_waiting(page: Page, shop: System) -> None:
    stand(page, shop)
    before = rows(page)
    page.get_by_role("button", name="Pause").click()
    last = send(shop, "Waits", "Waits", "Waits")
    expect(page.locator("#tail-pause")).to_contain_text("Resume, 3 wait")
    assert rows(page) == before
    page.locator("#tail-pause").click()
    arrives(page, last)
    assert rows(page)[3:] == before[: len(rows(page)) - 3]


@pytest.mark.slow
def test_of_a_flood_the_newest_rows_are_there_and_in_the_end_all(
    page: Page, server: Evdebug
) -> None:
    shop = server.system("flood")
    send(shop, "First")
    stand(page, shop)
    for n in range(8):
        last = send(shop, *[f"Flood{n}"] * 300)
    arrives(page, last)
    found = page.locator("#tail tbody tr")
    expect(found).to_have_count(200)
    assert rows(page) == rows(stand(page.context.new_page(), shop))
    arrives(page, send(shop, "After"))
    expect(found).to_have_count(200)
    page.get_by_role("button", name="Pause").click()
    send(shop, *["Held"] * 300)
    expect(page.locator("#tail-pause")).to_contain_text("+ wait")
    page.locator("#tail-pause").click()
    last = send(shop, "Last")
    arrives(page, last)
    assert rows(page) == rows(stand(page.context.new_page(), shop))


def test_a_filter_is_followed_and_what_is_wrong_with_it_said(page: Page, shop: System) -> None:
    stand(page, shop)
    field = page.get_by_label("Filter the tail")
    field.fill("type:Wanted")
    field.press("Enter")
    expect(page.locator("#tail tbody tr")).to_have_count(0)
    last = send(shop, "Wanted", "Unwanted") - 1
    arrives(page, last)
    assert len(rows(page)) == 1
    assert "tail=type" in page.url


@pytest.mark.slow
def test_a_wrong_filter(page: Page, shop: System, expected_errors: list[str]) -> None:
    expected_errors += ["422"]
    stand(page, shop)
    field = page.get_by_label("Filter the tail")
    field.fill("nofield:x")
    field.press("Enter")
    expect(page.locator("#tail-msg")).to_contain_text("There is no field")


def test_hidden_it_rests_and_shown_it_catches_up(page: Page, shop: System) -> None:
    stand(page, shop)
    arrives(page, send(shop, "Seen"))
    page.evaluate(HIDE, True)
    before = rows(page)
    last = send(shop, "Unseen", "Unseen")
    page.wait_for_timeout(1000)
    assert rows(page) == before
    page.evaluate(HIDE, False)
    arrives(page, last)
    assert rows(page) == rows(stand(page.context.new_page(), shop))


@pytest.mark.slow
def test_the_past_is_drawn_too_and_live_goes_on(page: Page, shop: System) -> None:
    stand(page, shop)
    link = page.locator("#tail tbody tr").nth(8).locator("a.pos")
    at = int(link.get_attribute("data-seek") or 0)
    link.click()
    expect(page.locator("html")).to_have_attribute("data-mode", "past")
    arrives(page, at)
    expect(page.locator("#needle")).to_have_attribute("aria-valuenow", str(at))
    last = send(shop, "Later")
    page.wait_for_timeout(600)
    assert rows(page)[0].startswith(f"{at} ")
    page.locator('#dock [data-act="live"]').click()
    arrives(page, last)
    arrives(page, send(shop, "Latest"))


def same_as_afresh(page: Page, hearing: Hearing, shop: System) -> None:
    """Assert that what a page shows, and what it was given, is what one loaded now shows."""
    fresh = page.context.new_page()
    shown = rows(stand(fresh, shop))
    fresh.close()
    assert rows(page) == shown
    assert hearing.newest() == [int(row.partition(" ")[0]) for row in shown]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_says_that_the_way_is_gone_and_comes_back_with_every_row(
    page: Page, shop: System, server: Evdebug, proxy: Proxy, expected_errors: list[str]
) -> None:
    expected_errors += LOST
    hearing = Hearing(page)
    stand(page, shop, base=proxy.url)
    hearing.loaded()
    arrives(page, send(shop, "Before"))
    banner = page.locator("#banner")

    proxy.cut(refuse=True)
    expect(banner).to_contain_text("Connection lost")
    send(shop, *["Meanwhile"] * 30)
    proxy.heal()
    arrives(page, send(shop, "Healed"))
    expect(banner).to_contain_text("Back")
    same_as_afresh(page, hearing, shop)

    proxy.stall()
    last = send(shop, *["Stalled"] * 5)
    expect(banner).to_contain_text("Connection lost", timeout=OUTAGE_MS)
    proxy.heal()
    arrives(page, last)
    expect(banner).to_contain_text("Back")
    same_as_afresh(page, hearing, shop)

    for _ in range(3):  # in the midst of things, which it comes back from at once
        send(shop, *["Flowing"] * 40)
        proxy.cut()
        last = send(shop, *["Flowing"] * 40)
    arrives(page, last)
    same_as_afresh(page, hearing, shop)

    send(shop, *["Killed"] * 100)
    server.kill()
    expect(banner).to_contain_text("Connection lost")
    server.start()
    send(shop, *["Unheard"] * 250)
    arrives(page, send(shop, "Restarted"))
    expect(banner).to_contain_text("Back")
    same_as_afresh(page, hearing, shop)


@pytest.mark.slow
@pytest.mark.parametrize(("speed", "beyond"), [("1×", 2), ("25×", 60), ("100×", 60)])
def test_playing_the_past_moves_rows_and_flow_with_it(
    page: Page, shop: System, speed: str, beyond: int
) -> None:
    stand(page, shop, "?at=1")
    arrives(page, 1)
    flow = page.locator('[data-part="flow"]')
    before = flow.inner_html()
    page.locator(".speed select").select_option(speed)
    page.get_by_label("Play", exact=True).click()
    page.wait_for_function(
        "beyond => Number(document.querySelector('#tail tbody tr')?.dataset.row) > beyond",
        arg=beyond,
        timeout=OUTAGE_MS,
    )
    page.get_by_label("Pause", exact=True).click()
    at = int(page.locator("#needle").get_attribute("aria-valuenow") or 0)
    newest = page.locator("#tail tbody tr").first
    expect(newest).to_have_attribute(
        "data-row", re.compile(f"^({at}|{at - 1})$")
    )  # or its delivery
    assert "payments" not in before
    expect(flow).to_contain_text("payments")
    expect(page.locator("html")).to_have_attribute("data-mode", "past")
    assert rows(page) == rows(stand(page.context.new_page(), shop, f"?at={at}"))


@pytest.mark.slow
def test_one_service_is_looked_at_alone(page: Page, shop: System) -> None:
    stand(page, shop)
    flow, types = page.locator('[data-part="flow"]'), page.locator('[data-part="types"]')
    page.get_by_label("Whose flow").select_option("web")
    expect(types).not_to_contain_text("PaymentCaptured")
    expect(types).to_contain_text("OrderPlaced")
    for name, source in (("Else", "/else"), ("Aside", "/web")):
        status, answer = shop.send({"type": name, "source": source, "channel": name.lower()})
        assert status == 200
    arrives(page, int(answer["head"]))
    expect(flow).to_contain_text("Aside")  # what the socket brings is of the service alone, too
    expect(flow).not_to_contain_text("Else")
    expect(types).not_to_contain_text("Else")
    page.get_by_role("link", name="Latency").click()
    expect(page.get_by_role("link", name="Latency")).to_have_attribute("aria-current", "true")
    expect(types).not_to_contain_text("Else")
    page.get_by_label("Whose flow").select_option("All services")
    expect(types).to_contain_text("Else")
    flow.get_by_role("link").filter(has_text="payments").click()
    page.wait_for_url(re.compile("/subscribers[?]who=payments"))


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_can_be_read_in_both_themes(page: Page, shop: System, theme: str) -> None:
    stand(page, shop, f"?theme={theme}")
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    arrives(page, send(shop, "Themed"))
    found = Axe().run(page).response["violations"]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=1)[:4000]


@pytest.mark.slow
def test_it_says_when_others_are_not_heard_and_when_they_are_again(
    page: Page, shop: System
) -> None:
    trouble = {"degraded": "Redis does not answer"}

    def pass_on(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda text: route.send(json.dumps(json.loads(text) | trouble)))

    page.route_web_socket(re.compile("/live"), pass_on)
    stand(page, shop)
    banner = page.locator("#banner")
    expect(banner).to_contain_text("Redis does not answer: what other processes record")
    arrives(page, send(shop, "Degraded"))
    trouble["degraded"] = ""
    arrives(page, send(shop, "Healed"))
    expect(banner).to_be_hidden()
