"""Every page there is: accessible in both themes, as wide as the window, and deaf to its data.

The pages are those of `nav.PAGES` and the first page each of them leads to below its own address,
so that a new page is looked at as soon as it is in the navigation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Dialog, Page, expect

from apps.pages.nav import PAGES
from tests.browser import trading
from tests.running import Evdebug, System
from tests.services import wait_for

NARROW = {"width": 768, "height": 900}
SERIOUS = {"serious", "critical"}
# Beside the navigation: by what leads there.
BESIDE = [
    "/{}/events?event=5&at=300", "/{}/events?at=100&q=typ:x", "/{}/bookmarks", "/{}/events/saved",
    "/{}/sources?add=kafka", "/account", "/keyboard", "/nothing/here",
]  # fmt: skip
EXPECTED = ["status of 404", "status of 422"]
STRAY = """() => [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1) return false;
    for (let p = e; p !== document.body; p = p.parentElement) {
        const style = getComputedStyle(p);
        if (style.position === 'fixed' || p.tagName === 'svg') return false;
        if (p !== e && style.overflowX !== 'visible' && p.getBoundingClientRect().right <= innerWidth + 1) return false;
    }
    return true; }).slice(0, 5).map(e => `${e.tagName}.${e.className}`)"""


def pages() -> list[str]:
    """Return the addresses of the navigation's pages, {} for the system."""
    own = [reverse(p.url, args=["SYSTEM"]).replace("SYSTEM", "{}") for p in PAGES if p.own]
    return [*own, *(reverse(p.url) for p in PAGES if not p.own)]


def addresses(*more: str) -> list[Any]:
    """Return what to visit: one page, and, where there is time for it, all others."""
    first, *others = pages()
    slow = (pytest.param(each, marks=pytest.mark.slow) for each in (*others, *BESIDE, *more))
    return [first, *slow]


def sandbox(made: System, name: str) -> None:
    """Make a sandbox that has run, so that there is a page below that of sandboxes."""
    recipe = {"name": name, "base": 3, "until": 20, "edits": [{"op": "skip", "position": 5}]}
    status, answer = made.post("sandboxes", recipe)
    assert status == 201, answer
    status, run = made.post(f"sandboxes/{answer['id']}/runs", {})
    assert status == 202, run
    where = f"sandboxes/{answer['id']}/runs/{run['id']}"
    wait_for(lambda: made.get(where)[1]["status"] in ("finished", "failed"), "the run to end")


@pytest.fixture(scope="module")
def shop(server: Evdebug) -> System:
    made = trading.system(server)
    sandbox(made, "without the second")
    return made


@pytest.fixture(scope="module")
def empty(server: Evdebug) -> System:
    return server.system("empty")


def visit(page: Page, address: str) -> None:
    """Open a page and wait until all its parts are there."""
    page.goto(address, wait_until="load")
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    if page.locator("#dock[hx-get]").count():
        expect(page.locator("#needle")).to_be_visible()


def below(page: Page) -> str:
    """Return the first address the page links to that lies below its own, "" for none."""
    path = urlsplit(page.url).path.rstrip("/")
    found: str = page.evaluate(
        """path => [...document.querySelectorAll('#main a[href]')].map(a => new URL(a.getAttribute('href'), location))
            .filter(u => u.origin === location.origin && u.pathname.startsWith(path + '/'))
            .map(u => u.pathname + u.search)[0] ?? ''""",
        path,
    )
    return found


def visits(page: Page, address: str) -> Iterator[str]:
    """Open a page, then the first one below it."""
    visit(page, address)
    yield page.url
    if deeper := below(page):
        visit(page, deeper)
        yield page.url


def accessible(page: Page, **options: Any) -> list[str]:
    """Return what axe finds serious, by rule and place."""
    found = Axe().run(page, options={"resultTypes": ["violations"]} | options).response
    return [
        f"{page.url}: {rule['id']}: {rule['help']}: {node['target']} {node['html'][:160]}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:4]
    ]


def strays(page: Page) -> list[str]:
    """Return what lies outside the window and cannot be scrolled to within its own part."""
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    found: list[str] = page.evaluate(STRAY)
    return [f"{page.url} at {page.viewport_size}: {each}" for each in found or ["all"] * wide]


def looked_at(page: Page) -> list[str]:
    """Return what is wrong with a page in both themes and widths."""
    page.emulate_media(color_scheme="light")
    wrong = accessible(page) + strays(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    # What else axe looks at does not depend on the theme.
    wrong += accessible(page, runOnly=["color-contrast"])
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    wrong += strays(page)
    page.set_viewport_size({"width": 1440, "height": 900})
    return wrong


@pytest.mark.parametrize("address", addresses())
def test_it_is_accessible_and_as_wide_as_the_window(
    page: Page, shop: System, expected_errors: list[str], address: str
) -> None:
    expected_errors += EXPECTED
    page.emulate_media(reduced_motion="reduce")
    wrong = [each for _ in visits(page, address.format(shop.slug)) for each in looked_at(page)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("address", [a for a in pages() if "{}" in a])
def test_it_is_so_without_events_too(
    page: Page, empty: System, expected_errors: list[str], address: str
) -> None:
    expected_errors += EXPECTED
    page.emulate_media(reduced_motion="reduce")
    wrong = [each for _ in visits(page, address.format(empty.slug)) for each in looked_at(page)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["/signin", "/signin/no-such-link"])
def test_signing_in_is_so_too(visitor: Page, expected_errors: list[str], address: str) -> None:
    expected_errors.append("status of 410")
    visit(visitor, address)
    wrong = looked_at(visitor)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_the_help_is_so_too(page: Page, shop: System) -> None:
    visit(page, f"/{shop.slug}/events?at=100")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)


LONG = "long " * 1000
MARKUP = "<script>pwned()</script><img src=x onerror=pwned()>"
EVIL = [
    MARKUP,
    f"javascript:pwned()//{MARKUP}",
    f"\u202eevil\u2066\u200b\ufeff{MARKUP}\u2069",
    f"\"'></textarea></title>{MARKUP}",
    "W" * 1024,
    "東京 🎉 ́́" + MARKUP,
]
UNSEEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture(scope="module")
def evil(server: Evdebug) -> System:
    """A system all of whose names and data would like to be more than text."""
    made = server.system("evil", name=MARKUP + "\u202e")
    for n, text in enumerate(EVIL):
        names = dict.fromkeys(("source", "stream", "correlation", "channel", "partition"), text)
        event = {"id": text, "type": text, "data": {text: text, "a": [text, {text: LONG}]}}
        effect = {"id": f"e{n}", "type": text, "causation": text, "data": LONG + text}
        trading.send(made, [event | names, effect | names])
        told = {"event": {"id": text, "source": text}, "subscriber": text, "attempt": 1}
        failed = told | {"outcome": "failed", "error": LONG + text}
        trading.send(made, [failed, told | {"outcome": "handled", "attempt": 2}], "/v1/deliveries")
    sandbox(made, MARKUP)
    return made


def harmless(page: Page) -> list[str]:
    """Return what is more than text on a page that shows hostile names."""
    found = page.evaluate("""() => ({
        made: [...document.querySelectorAll('#main img, #main script, [onerror], [onload], a[href^="javascript:" i]')].map(e => e.outerHTML),
        text: document.title + [...document.querySelectorAll('body *')].flatMap(e =>
            [e.title, e.ariaLabel, ...[...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data)]).join(' ')})""")
    wrong = [f"{page.url}: {each[:200]}" for each in found["made"]]
    if stray := UNSEEN.findall(found["text"]):
        wrong.append(f"{page.url}: shows {stray[:5]!a}")
    return wrong + strays(page)


@pytest.mark.parametrize("address", addresses("/{}/events?event=18"))
def test_names_and_data_are_text(
    page: Page, evil: System, expected_errors: list[str], address: str
) -> None:
    expected_errors += EXPECTED
    wrong: list[str] = []

    def note(dialog: Dialog) -> None:
        wrong.append(f"{page.url}: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", note)
    for _ in visits(page, address.format(evil.slug)):
        wrong += harmless(page)
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        wrong += strays(page)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_each_of_their_traces_and_entities_is_text(page: Page, evil: System) -> None:
    wrong = []
    for n, text in enumerate(EVIL):
        stream = reverse("pages:state", args=[evil.slug, text])
        for address in (f"/{evil.slug}/traces/{4 * n + 1}", stream):
            visit(page, address)
            wrong += harmless(page)
    assert not wrong, "\n".join(wrong)


def test_they_are_shown(page: Page, evil: System) -> None:
    visit(page, f"/{evil.slug}/events?with=deliveries")
    expect(page.locator("#results")).to_contain_text(MARKUP)
    expect(page.locator("#results")).to_contain_text("\\u202eevil\\u2066\\u200b\\ufeff")
    expect(page.locator("#facets")).to_contain_text("javascript:pwned()")
    page.locator("#results a[data-open]", has_text="東京").first.click()
    expect(page.locator("#drawer")).to_contain_text(MARKUP)
    assert page.title().startswith("Events · evil")


@pytest.mark.slow
def test_longer_names_are_refused_with_the_reason(evil: System) -> None:
    for name in ("type", "source", "stream", "correlation"):
        _, answer = evil.send({"type": "T"} | {name: LONG})
        assert answer["rejected"] == 1
        detail = answer["problems"][0]["detail"]
        assert detail.startswith(f"{name} has 5000 bytes of UTF-8; at most 1024"), detail


def test_g_and_a_letter_lead_to_each_page_at_the_same_moment(page: Page, shop: System) -> None:
    visit(page, f"/{shop.slug}/events?at=100")
    for each in (p for p in PAGES if p.key and p.own):
        address = reverse(each.url, args=[shop.slug])
        page.keyboard.press("g")
        page.keyboard.press(each.key)
        expect(page).to_have_url(re.compile(rf"{re.escape(address)}(\?|$|/)"))
        page.wait_for_load_state()
        assert "at=100" in page.url, each.name
        expect(page.locator(".nav [aria-current=page]")).to_have_text(each.name)


@pytest.mark.slow
def test_slash_and_hash_go_to_their_fields(page: Page, shop: System) -> None:
    visit(page, f"/{shop.slug}/events?at=100")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("#")
    expect(page.locator("#jump-in")).to_be_focused()
    visit(page, f"/{shop.slug}/traces?at=100")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") in ("search", "text")
