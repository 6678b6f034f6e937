"""Find the first event where…: at once, or behind the page with progress and a stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.access.models import User
from apps.projections.commands import searches
from apps.projections.models import Search
from tests.conftest import Log
from tests.factories import envelope
from tests.pages.conftest import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def stock(shop: Log) -> Log:
    shop.append(*[
        envelope(stream=f"stock-{n % 2}", data={"available": 6 - n}, source="/stock")
        for n in range(400)
    ])  # fmt: skip
    return shop


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[int]:
    """Have every search go on behind the page; returns the searches that were rung for."""
    rung: list[int] = []
    settings.FIND_WAIT_MS = 0
    monkeypatch.setattr(searches, "ring", lambda kept: rung.append(kept.pk))
    return rung


def asked(client: Client, address: str = "/shop/states/find", **query: Any) -> Any:
    return client.get(address, query, headers={"HX-Request": "true"})


def test_it_says_what_the_event_set(stock: Log, viewer: Client) -> None:
    page = asked(viewer, stream="stock-1", expr="state.available < 0").content.decode()
    assert "First true at #8" in page
    assert "/available" in page
    assert ">1</b>" in page
    assert ">-1</b>" in page


def test_a_long_search_goes_on_behind_the_page(
    stock: Log, viewer: Client, impatient: list[int]
) -> None:
    page = asked(viewer, stream="", how="all", expr="state.available < -300").content.decode()
    (number,) = impatient
    address = f"/shop/states/find/{number}"
    assert f'hx-get="{address}' in page
    assert "0% of 400 events" in page
    assert "First true" not in page
    searches.work(number)
    page = asked(viewer, address, part=1).content.decode()
    assert "100% of 400 events" in page
    assert "First true at #308" in page
    assert "hx-trigger" not in page
    whole = viewer.get(address)
    assert (whole.status_code, b"First true at #308" in whole.content) == (200, True)
    assert impatient == [number]


def test_a_search_that_nobody_works_on_is_rung_for_again(
    stock: Log, viewer: Client, impatient: list[int]
) -> None:
    asked(viewer, stream="", how="all", expr="state.available < -300")
    asked(viewer, f"/shop/states/find/{impatient[0]}", part=1)
    assert len(impatient) == 2


def test_a_search_is_stopped(stock: Log, viewer: Client, impatient: list[int]) -> None:
    asked(viewer, stream="", how="all", expr="state.available < -300")
    number = impatient[0]
    answer = viewer.post(f"/shop/states/find/{number}/stop", headers={"HX-Request": "true"})
    assert "stopped" in answer.content.decode()
    assert "hx-trigger" not in answer.content.decode()
    assert Search.objects.get().stopped
    assert viewer.post(f"/shop/states/find/{number}/stop").status_code == 302


def test_anothers_search_is_not_there(
    stock: Log, viewer: Client, impatient: list[int], person: Callable[..., User]
) -> None:
    asked(viewer, stream="", how="all", expr="state.available < -300")
    other = client_of(person("otto", stock, "admin"))
    assert asked(other, f"/shop/states/find/{impatient[0]}").status_code == 404
    assert other.post(f"/shop/states/find/{impatient[0]}/stop").status_code == 404
    assert not Search.objects.get().stopped


def test_what_goes_wrong_behind_the_page_is_said(
    stock: Log, viewer: Client, impatient: list[int]
) -> None:
    asked(viewer, stream="", how="all", expr="1 / (state.available + 300) > 5")
    searches.work(impatient[0])
    assert (
        "divides by zero"
        in asked(viewer, f"/shop/states/find/{impatient[0]}", part=1).content.decode()
    )
