"""The trace page in a browser: views, switches, keys, themes, as-of, and large traces."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.running import ROOT, Evdebug
from tests.traces.story import WRONG

LARGE = "c-large"


@pytest.fixture(scope="module")
def told(server: Evdebug) -> Evdebug:
    """A server with the story, and a trace of 5 000 events, in the first system."""
    script = (
        "import os, django; django.setup()\n"
        "from apps.eventlog.queries import log\n"
        "from apps.eventlog.commands.append import append\n"
        "from apps.eventlog.commands.systems import create_system\n"
        "from tests.traces.story import history, made, NOON\n"
        "line = create_system('traced')\n"
        "append(line.timeline, history())\n"
        "append(line.timeline, [made('large', f'S{n}', f'svc{n % 5}', NOON + n * 1000,"
        " f'S{n // 4}' if n else '') for n in range(5000)] + [made('one', 'Alone', 'web', NOON)])\n"
    )
    environment = server.environment | {
        "DJANGO_SETTINGS_MODULE": "evdebug.settings", "PYTHONPATH": str(ROOT)
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, check=True)
    return server


@pytest.fixture
def trace(told: Evdebug, page: Page) -> Page:
    page.goto(f"/traced/traces/{WRONG}")
    return page


def test_all_views_are_there(trace: Page) -> None:
    for tab in ("Graph", "Sequence", "Log", "Compare", "Waterfall"):
        trace.get_by_role("tab", name=tab).click()
        expect(trace.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        expect(trace.locator(f"#{tab.lower()}")).to_be_visible()
        assert trace.locator(".view:visible").count() == 1


def test_a_problem_leads_to_its_row(trace: Page) -> None:
    trace.get_by_role("tab", name="Log").click()
    trace.locator(".prob", has_text="dead-lettered").click()
    expect(trace.locator("#waterfall")).to_be_visible()
    expect(trace.locator(".w-row:focus", has_text="Shipped")).to_be_visible()


@pytest.mark.slow
def test_rows_by_keyboard(trace: Page) -> None:
    rows = trace.locator("[data-trace-rows] .w-row")
    rows.first.focus()
    trace.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    trace.keyboard.press("k")
    expect(rows.first).to_be_focused()
    trace.keyboard.press("Enter")
    expect(trace.locator("#drawer h2").first).to_contain_text("Ordered")


@pytest.mark.slow
def test_the_typical_strokes_can_be_hidden(trace: Page) -> None:
    stroke = trace.locator(".w-typ").first
    expect(stroke).to_be_visible()
    trace.locator(".sw", has_text="typical").click()
    expect(stroke).to_be_hidden()


@pytest.mark.slow
def test_arrow_keys_go_along_the_trace(trace: Page) -> None:
    places = [int(p or 0) for p in trace.locator("[data-pos-row]").evaluate_all(
        "rows => rows.map(row => row.dataset.posRow)")]  # fmt: skip
    last, before = sorted(places)[-1], sorted(places)[-2]
    trace.locator("body").press("ArrowLeft")
    trace.wait_for_url(f"**at={last}*")
    trace.locator("body").press("ArrowLeft")
    trace.wait_for_url(f"**at={before}*")
    expect(trace.locator(".w-fut").first).to_be_visible()
    trace.locator("body").press("ArrowRight")
    trace.wait_for_url(f"**at={last}*")


@pytest.mark.slow
def test_a_box_of_the_graph_opens_the_drawer_with_its_evidence(trace: Page) -> None:
    trace.get_by_role("tab", name="Graph").click()
    expect(trace.locator(".g-key")).to_contain_text("critical path")
    trace.locator("#graph a.g-n", has_text="Shipped").first.click()
    expect(trace.locator("#drawer h2").first).to_contain_text("Shipped")
    evidence = trace.locator("#drawer .why-s", has_text="Evidence")
    expect(evidence).to_contain_text("dead-lettered")
    expect(evidence).to_contain_text("reported")
    expect(trace.locator("#graph")).to_be_visible()


@pytest.mark.slow
def test_the_sequence_shows_the_redelivery_and_what_is_missing(trace: Page) -> None:
    trace.get_by_role("tab", name="Sequence").click()
    expect(trace.locator("#sequence .sq-lab", has_text="Ordered again")).to_have_count(1)
    expect(trace.locator("#sequence .sq-re")).to_have_count(1)
    expect(trace.locator("#sequence .sq-lost")).to_have_count(1)


@pytest.mark.slow
def test_quiet_time_unfolds(trace: Page) -> None:
    fold = trace.get_by_role("switch", name="Fold quiet time")
    expect(fold).to_have_attribute("aria-checked", "true")
    assert trace.locator(".w-fold").count() > 0
    fold.click()
    expect(trace.locator(".w-fold")).to_have_count(0)
    expect(fold).to_have_attribute("aria-checked", "false")


@pytest.mark.slow
def test_it_compares_with_another_trace(trace: Page) -> None:
    trace.get_by_role("tab", name="Compare").click()
    trace.locator("#compare input[name=other]").fill("c-3")
    trace.locator("#compare input[name=other]").press("Enter")
    trace.wait_for_url("**other=c-3**")
    trace.get_by_role("tab", name="Compare").click()
    expect(trace.locator("#compare")).to_contain_text("repeated")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_paint_all_views(told: Evdebug, page: Page, theme: str) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    for view, mark in (("graph", ".g-n"), ("sequence", ".sq-d"), ("log", "td"),
                       ("waterfall", ".w-bar.crit")):  # fmt: skip
        page.goto(f"/traced/traces/{WRONG}#{view}")
        expect(page.locator(f"#{view} {mark}").first).to_be_visible()
        if folder := os.environ.get("EVDEBUG_SHOTS"):
            page.screenshot(path=f"{folder}/trace-{theme}-{view}.png")
    bar = page.locator(".w-bar.crit").first
    painted = bar.evaluate("e => getComputedStyle(e).fill")
    behind = page.locator(".tr-main").evaluate("e => getComputedStyle(e).backgroundColor")
    assert painted not in ("none", behind)


@pytest.mark.slow
def test_the_playhead_hatches_what_is_later(trace: Page) -> None:
    expect(trace.locator(".w-hatch")).to_have_count(0)
    trace.locator(".w-row .pos").nth(1).click()
    expect(trace.locator(".w-hatch")).to_have_count(1)
    expect(trace.locator(".w-fut").first).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize(("which", "rows"), [("c-one", 1), ("c-3", 4), (WRONG, 7), (LARGE, 300)])
def test_from_few_to_5000_events(told: Evdebug, page: Page, which: str, rows: int) -> None:
    page.goto(f"/traced/traces/{which}")
    drawn = page.locator(".w-row").count()
    assert drawn <= 400
    assert drawn >= min(rows, 4)
    page.get_by_role("tab", name="Graph").click()
    expect(page.locator("#graph a.g-n").first).to_be_visible()
    if which == LARGE:
        page.get_by_role("tab", name="Waterfall").click()
        more = page.locator(".w-l a.tag").first
        before = page.locator(".w-row").count()
        more.click()
        page.wait_for_url("**open=**")
        assert page.locator(".w-row").count() > before


def test_from_the_list_to_a_trace(told: Evdebug, page: Page) -> None:
    page.goto("/traced/traces")
    page.locator("select[name=problem]").select_option("handled_twice")
    page.get_by_role("button", name="Find traces").click()
    expect(page.locator("[data-root]")).to_have_count(1)
    page.locator("[data-root] a.ev").click()
    expect(page.locator(".prob").first).to_contain_text("bank handled Ordered twice")
