"""The result of a query as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, Client

from tests.conftest import Log
from tests.factories import envelope
from tests.pages.reading import text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """Close the connections of the thread that answered."""
    yield
    await sync_to_async(connections.close_all)()


async def download(client: Client, address: str) -> str:
    asynchronous = AsyncClient(headers={"host": "localhost"})
    asynchronous.cookies = client.cookies
    answer: Any = await asynchronous.get(address)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    return b"".join([part async for part in answer]).decode()


async def test_it_works(transactional_db: None, viewer: Client, trade: Log) -> None:
    lines = (
        await download(viewer, "/shop/events/export?q=type:PaymentCaptured&at=100")
    ).splitlines()
    stored = await sync_to_async(trade.read)(upto=100)
    expected = [e for e in stored if e.type == "PaymentCaptured"]
    assert [json.loads(line)["id"] for line in lines] == [e.id for e in expected]
    assert '"amount": 3.00' in lines[3]  # the producer's own digits


async def test_a_table(transactional_db: None, viewer: Client, trade: Log) -> None:
    found = await download(viewer, "/shop/events/export?format=csv&col=total&q=type:OrderPlaced")
    table = list(csv.reader(found.splitlines()))
    assert table[0][:2] + table[0][-1:] == ["position", "time", "data.total"]
    assert [row[-1] for row in table[1:]] == [str(n) for n in range(50)]


async def test_cells_are_no_formulas(transactional_db: None, viewer: Client, shop: Log) -> None:
    await sync_to_async(shop.add)(type="=cmd|' /C calc'!A0", data={"x": "@SUM(1)"})
    found = await download(viewer, "/shop/events/export?format=csv&col=x")
    (row,) = list(csv.reader(found.splitlines()))[1:]
    assert "'=cmd|' /C calc'!A0" in row
    assert row[-1] == "'@SUM(1)"


async def test_page_by_page(transactional_db: None, viewer: Client, shop: Log) -> None:
    await sync_to_async(shop.append)(*(envelope(id=f"id-{n}") for n in range(1203)))
    lines = (await download(viewer, "/shop/events/export")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"id-{n}" for n in range(1203)]


def test_too_much_is_refused_rather_than_cut_off(
    transactional_db: None, viewer: Client, trade: Log
) -> None:
    with mock.patch("apps.pages.views.exporting.MOST", 10):
        answer = viewer.get("/shop/events/export")
    assert answer.status_code == 413
    assert "manage.py export shop" in text(answer)


def test_a_wrong_query(transactional_db: None, viewer: Client, trade: Log) -> None:
    assert viewer.get("/shop/events/export?q=typ:x").status_code == 422
