"""Sources in a browser: a tap from the form to events, with keys, by htmx and without script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.brokers import RabbitMQ
from tests.browser.test_every_page import looked_at, visit
from tests.running import Evdebug, System

LONG_MS = 60_000  # a tap may wait for the processor


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


def tap(server: Evdebug, name: str, bus: str, **settings: str) -> None:
    """Make a tap of the system."""
    pairs = [word for pair in settings.items() for word in ("--set", "{}={}".format(*pair))]
    server.manage("tap", "add", "tapped", name, "--bus", bus, *pairs)


def row(page: Page, name: str) -> Any:
    return page.locator("#sources tr").filter(has=page.locator(f"#tap-{name}"))


@pytest.mark.slow
def test_a_wrong_setting_is_told_in_words_and_what_was_typed_stays(
    page: Page, system: System, expected_errors: list[str]
) -> None:
    expected_errors.append("status of 422")
    page.goto("/tapped/sources?add=redis")
    page.locator("[name=name]").fill("cache")
    page.locator("[name='set.url']").fill("redis://127.0.0.1:1/0")
    page.locator("[name='set.streams']").fill("orders")
    page.locator("[name='set.start']").fill("yesterday")
    page.get_by_role("button", name="Check the connection").click()
    expect(page.locator(".so-found")).to_contain_text("setting start is 'yesterday'; expected")
    page.get_by_role("button", name="Start receiving").click()
    expect(page.get_by_role("alert")).to_contain_text("expected beginning, now, or a time")
    expect(page.locator("[name=name]")).to_have_value("cache")
    page.locator("[name='set.start']").fill("now")
    page.get_by_role("button", name="Check the connection").click()
    expect(page.locator(".so-found")).to_contain_text("127.0.0.1:1")
    expect(page.locator(".so-can")).to_contain_text("exactly once")
    expect(page.locator("#tap-cache")).to_have_count(0)


@pytest.mark.slow
def test_a_tap_is_stopped_started_and_reads_again(
    page: Page, server: Evdebug, system: System, tmp_path: Path
) -> None:
    logs = tmp_path / "a.ndjson"
    logs.write_text('{"type":"Paid","id":"p-1"}\n{"type":"Paid","id":"p-2"}\n')
    tap(server, "steered", "files", path=str(logs))
    page.goto("/tapped/sources?tap=steered")
    expect(row(page, "steered")).to_contain_text("2 received = 2 stored", timeout=LONG_MS)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(row(page, "steered")).to_contain_text("paused")
    expect(row(page, "steered")).to_contain_text("Stopped by")
    with logs.open("a") as out:
        out.write('{"type":"Refunded","id":"p-3"}\n')
    page.get_by_role("button", name="Start", exact=True).click()
    expect(row(page, "steered")).to_contain_text("3 received = 3 stored", timeout=LONG_MS)
    expect(page.locator(".so-g")).to_contain_text("exactly once")
    page.get_by_label("Read again from").fill("beginning")
    page.get_by_role("button", name="Read again from there").click()
    expect(page.get_by_text("steered reads again.")).to_be_visible()
    again = "6 received = 3 stored + 3 duplicates + 0 rejected"
    expect(row(page, "steered")).to_contain_text(again, timeout=LONG_MS)


@pytest.mark.slow
def test_a_mapping_is_changed_and_what_was_turned_away_is_tried_again(
    page: Page, server: Evdebug, system: System, tmp_path: Path
) -> None:
    (tmp_path / "a.ndjson").write_text('{"kind":"Paid","when":"soon"}\n')
    settings = {"path": str(tmp_path), "map.type": "data.kind", "map.time": "data.when"}
    tap(server, "mapped", "files", **settings)
    page.goto("/tapped/sources")
    expect(row(page, "mapped")).to_contain_text("1 rejected", timeout=LONG_MS)
    turned = page.locator("#sources tr").filter(has_text="mapped").filter(has_text='{"kind')
    turned.get_by_title("Open this record").click()
    side = page.locator("#side")
    expect(side).to_contain_text("7b 22 6b 69 6e 64")
    expect(side).to_contain_text('{"kind":"Paid","when":"soon"}')
    row(page, "mapped").get_by_role("link").click()
    page.get_by_role("button", name="Check the connection").click()
    expect(page.locator("#checked .bn-warn").first).to_contain_text("time")
    page.locator("#map-time").fill("")
    page.locator("#map-time").press("Tab")
    expect(page.locator("#checked .bn-warn").filter(has_text="time")).to_have_count(0)
    expect(page.locator("#checked").get_by_text("Paid", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_text("mapped goes on with these settings.")).to_be_visible()
    turned.get_by_title("Open this record").click()
    side.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("1 of 1 are events now; 0 stay.")).to_be_visible()
    told = "1 received = 1 stored + 0 duplicates + 0 rejected"
    expect(row(page, "mapped")).to_contain_text(told, timeout=LONG_MS)


@pytest.mark.slow
def test_a_costly_recording_is_armed_knowingly_and_says_how_long(
    page: Page, system: System, rabbitmq: RabbitMQ
) -> None:
    page.goto("/tapped/sources?add=rabbitmq")
    expect(page.locator("#side")).to_contain_text("fell by 55 to 84 %")
    page.locator("[name=name]").fill("hosed")
    page.locator("[name='set.url']").fill(rabbitmq.url)
    page.locator("[name='set.exchanges']").fill("amq.topic")
    management = f"http://guest:guest@127.0.0.1:{rabbitmq.management}"
    page.locator("[name='set.management']").fill(management)
    page.get_by_role("button", name="Start receiving").click()
    arming = page.get_by_role("region", name="Firehose minutes")
    expect(arming).to_contain_text("fell by 55 to 84 %")
    expect(arming).not_to_contain_text("more min")
    arming.get_by_role("textbox").fill("7")
    arming.get_by_role("button", name="Arm from now").click()
    expect(page.locator("#side")).to_contain_text("armed for 7")
    expect(row(page, "hosed")).to_contain_text("armed for 7 more min", timeout=LONG_MS)
    expect(row(page, "hosed")).to_contain_text("receiving")
    page.reload()
    expect(arming).to_contain_text("more min. While it is armed")
    arming.get_by_role("button", name="Disarm").click()
    expect(page.get_by_text("hosed is disarmed.")).to_be_visible()
    expect(row(page, "hosed")).not_to_contain_text("armed")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(row(page, "hosed")).to_contain_text("paused")


@pytest.mark.slow
def test_hostile_names_are_text_and_nothing_sticks_out(
    page: Page, server: Evdebug, system: System, tmp_path: Path
) -> None:
    evil = "<img src=x onerror=pwned()>\u202e" + "long" * 40
    (tmp_path / "evil.ndjson").write_text('{"' + evil + "\n" + '{"type":"' + evil + '"}\n')
    tap(server, "e" * 63, "files", path=str(tmp_path / "*<b>*"))
    tap(server, "evil", "files", path=str(tmp_path), **{"map.stream": "data.type"})
    page.goto("/tapped/sources?tap=evil")
    expect(row(page, "evil")).to_contain_text("1 rejected", timeout=LONG_MS)
    page.emulate_media(reduced_motion="reduce")
    turned = page.locator("#sources tr").filter(has_text="<img").get_by_title("Open this record")
    record = str(turned.first.get_attribute("href"))
    wrong: list[str] = []
    for address in ("/tapped/sources?tap=evil", record, f"/tapped/sources?tap={'e' * 63}"):
        visit(page, address if address.startswith("/") else f"/tapped/sources{address}")
        assert page.locator("img").count() == 0
        wrong += looked_at(page)
    assert not wrong, "\n".join(wrong)
