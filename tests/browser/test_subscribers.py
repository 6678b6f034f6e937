"""Subscribers in a browser: since when, stuck flows by a rule, the audit; in both themes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import trading
from tests.browser.test_every_page import looked_at, visit
from tests.running import Evdebug, System


@pytest.fixture(scope="module")
def shop(server: Evdebug) -> System:
    return trading.system(server)


@pytest.mark.slow
def test_a_rule_is_made_and_what_is_stuck_leads_to_its_trace(page: Page, shop: System) -> None:
    page.emulate_media(reduced_motion="reduce")
    visit(page, f"/{shop.slug}/subscribers")
    expect(page.locator("#stuck")).to_contain_text("No rule yet")
    page.locator("#flow-new > summary").click()
    form = page.locator("#flow-new form")
    form.get_by_label("Once there is").fill("PaymentCaptured")
    # Live goes on beside it; what is typed stays.
    shop.send({"type": "OrderPlaced", "source": "/web", "id": f"{shop.slug}-x"})
    expect(page.locator("#jump-in")).to_have_value("#481", timeout=30_000)
    form.get_by_label("one of these must follow").fill("OrderShipped\nOrderCancelled")
    form.get_by_label("within", exact=True).fill("30 s")
    expect(form.get_by_label("Once there is")).to_have_value("PaymentCaptured")
    form.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_text("The rule is added.")).to_be_visible()
    rule = page.get_by_role("list", name="Rules").get_by_role("link")
    expect(rule).to_contain_text("PaymentCaptured → OrderShipped or OrderCancelled")
    rows = page.get_by_role("region", name="Stuck flows of this rule").locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("email handled it, nothing more came of it")
    wrong = looked_at(page)
    assert not wrong, "\n".join(wrong)
    rows.first.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("/traces/"))
    expect(page.get_by_text("PaymentCaptured").first).to_be_visible()


@pytest.mark.slow
def test_it_counts_since_a_choice_and_is_taken_along(page: Page, shop: System) -> None:
    visit(page, f"/{shop.slug}/subscribers?who=payments")
    handled = page.get_by_text("handled, ").first
    before = handled.inner_text()
    page.get_by_label("Since").select_option("10min")
    expect(page).to_have_url(re.compile("since=10min"))
    expect(page.get_by_label("Since")).to_have_value("10min")
    expect(handled).to_be_visible()
    assert before
    with page.expect_download() as taken:
        page.get_by_role("link", name="Export audit").click()
    text = taken.value.path().read_text()
    assert taken.value.suggested_filename.endswith(".csv")
    assert text.startswith("subscriber,type,observed")
    assert "payments,OrderPlaced,exactly once" in text
