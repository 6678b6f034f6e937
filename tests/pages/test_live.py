"""What the Live page says beside the flow: how taps are, and how old the log is."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.ingest.commands import taps
from apps.ingest.models import Tap
from tests.conftest import Log
from tests.pages.reading import read, text

NASTY = '<img src=x onerror="alert(1)">\u202e'


@pytest.fixture(autouse=True)
def _begun(shop: Log) -> None:
    shop.add(type="first")


@pytest.fixture
def tap(shop: Log, tmp_path: Path) -> Tap:
    added = taps.add(shop.line, "logs", "files", {"path": str(tmp_path)}, by=CONSOLE)
    Tap.objects.filter(pk=added.pk).update(
        state="failing", said=f"gone: {NASTY}", lag=7, wanted=True
    )
    return added


def test_a_tap_that_fails_is_said_with_its_lag_and_error(
    viewer: Client, shop: Log, tap: Tap
) -> None:
    page = viewer.get("/shop/live")
    assert "logs failing 7 gone: <img src=x" in " ".join(text(page).split())
    assert not read(page).forbidden


def test_how_taps_were_in_the_past_is_not_known(viewer: Client, shop: Log, tap: Tap) -> None:
    assert "failing" not in text(viewer.get("/shop/live?at=1"))


def test_where_the_log_is_younger_than_the_lines_that_is_said(viewer: Client, shop: Log) -> None:
    assert "The log begins" in text(viewer.get("/shop/live?at=1"))


def test_who_is_behind_is_shown_with_how_far_they_were(viewer: Client, trade: Log) -> None:
    """Payments never handled the second order, and nobody the last one."""
    trade.add(type="OrderPlaced", source="/web", channel="orders", time=trade.read()[-1].log_time)
    page = viewer.get(f"/shop/live?at={trade.line.head}")
    said = " ".join(text(page).split())
    assert "payments orders 2" in said
    assert page.content.count(b'<td class="lg-s"><svg') == 2


def test_any_moment_can_be_bookmarked_from_the_page(viewer: Client, shop: Log) -> None:
    page = viewer.get("/shop/live?at=1").content.decode()
    assert 'href="/shop/bookmarks?at=1"' in page
    assert "recording since <b><time" in page


def test_the_flow_and_the_types_of_one_service(viewer: Client, trade: Log) -> None:
    at = trade.line.head
    whole = viewer.get(f"/shop/live?at={at}")
    assert "All services" in text(whole)
    page = viewer.get(f"/shop/live?at={at}&view=failures:stranger")
    assert "stranger had part in nothing in the last 15 minutes" in text(page)
    moment = viewer.get(f"/shop/live/moment?at={at}&view=rate:payments").json()["parts"]
    assert "payments" in moment["flow"]
    assert len(moment["types"]) <= len(
        viewer.get(f"/shop/live/moment?at={at}").json()["parts"]["types"]
    )
    assert not read(viewer.get(f"/shop/live?at={at}&view=rate:{NASTY}")).forbidden


@pytest.mark.parametrize("view", ["nothing", "rate:" + "x" * 400, ":payments"])
def test_a_look_there_is_not_is_the_rate_of_all(viewer: Client, trade: Log, view: str) -> None:
    page = viewer.get(f"/shop/live?at=1&view={view}").content.decode()
    assert 'data-view="rate"' in page


def test_a_box_leads_to_what_its_service_is_told_or_tells(viewer: Client, trade: Log) -> None:
    at = trade.line.head
    flow = viewer.get(f"/shop/live/moment?at={at}").json()["parts"]["flow"]
    assert f'href="/shop/subscribers?who=payments&amp;at={at}"' in flow
    (link,) = re.findall(r'href="(/shop/events[?][^"]*)"', flow)
    assert text(viewer.get(html.unescape(link))).count("OrderPlaced") > 40


def test_a_channel_is_shown_with_the_bus_it_is_on_and_how_its_tap_is(
    viewer: Client, shop: Log, tap: Tap
) -> None:
    Tap.objects.filter(pk=tap.pk).update(delay=2_400_000)
    shop.add(type="Read", channel="orders", tap="logs")
    shop.add(type="Sent", channel="mail")
    said = " ".join(text(viewer.get("/shop/live")).split())
    assert "Files orders" in said.split("Channels")[-1]
    assert "2.40 s" in said.replace("\xa0", " ")
