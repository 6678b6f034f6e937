"""The shop and a running evdebug: everything arrives, once."""

from __future__ import annotations

from io import StringIO
from threading import Event

import pytest

from examples.shop.door import Door
from examples.shop.feed import send_past
from examples.shop.progress import Progress
from examples.shop.shop import Shop
from tests.running import Evdebug
from tests.shop.conftest import EDGE, MINUTE, entries

pytestmark = pytest.mark.only("sqlite")


def send(url: str, key: str) -> Door:
    shop = Shop(seed=7, start=EDGE - 20 * MINUTE, edge=EDGE, rate=5.0)
    door = Door(url, key, Event())
    try:
        send_past(shop, EDGE, door, Progress("shop", stream=StringIO()))
    finally:
        door.close()
    return door


def test_it_works(server: Evdebug) -> None:
    system = server.system("shop")
    made = len(entries(minutes=20, rate=5.0))

    first = send(server.url, system.ingest_key)
    again = send(server.url, system.ingest_key)

    assert (first.stored, first.duplicates, first.rejected) == (made, 0, 0)
    assert (again.stored, again.duplicates, again.rejected) == (0, made, 0)
    server.manage("verify", "shop")
