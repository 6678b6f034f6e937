"""Where somebody arrives."""

from __future__ import annotations

import json

from django.test import Client

from apps.access.models import ApiKey
from apps.access.queries.keys import authenticate
from apps.eventlog.commands.systems import create_system
from apps.pages.models import Preferences
from tests.conftest import Log
from tests.factories import delivery, envelope
from tests.pages.reading import links, read, text

PART = {"HX-Request": "true"}


def test_the_start_leads_to_what_there_is(viewer: Client, shop: Log, root: Client) -> None:
    assert viewer.get("/")["Location"] == "/welcome"
    shop.add()
    assert viewer.get("/")["Location"] == "/shop/events"
    create_system("bank", name="The <bank>")
    page = root.get("/")
    assert {"/shop/events", "/bank/events"} <= set(links(page))
    assert "The <bank>" in text(page)
    assert not read(page).forbidden


def test_welcome(admin: Client, shop: Log) -> None:
    page = admin.get("/welcome")
    assert "Nothing recorded yet" in text(page)
    assert text(page).count("YOUR-KEY") == 2
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" in text(page)
    assert "/v1/traces" in text(page)
    assert "0 of 6" in text(page)
    assert not read(page).forbidden


def test_a_bus_is_one_click_away(admin: Client, viewer: Client, shop: Log) -> None:
    buses = [link for link in links(admin.get("/welcome")) if "/shop/sources?add=" in link]
    assert len(buses) > 3
    assert admin.get(buses[0]).status_code == 200
    assert not [link for link in links(viewer.get("/welcome")) if "/sources?add=" in link]


def test_a_key_is_made_when_it_is_asked_for_and_shown_once(admin: Client, shop: Log) -> None:
    admin.get("/welcome")
    assert not ApiKey.objects.exists()
    page = admin.post("/welcome/key", {"system": "shop"})
    secret = text(page).split("Bearer ")[1].split("'")[0]
    assert authenticate(secret, scope="ingest").system == "shop"
    assert "Waiting for the first event" in text(page)
    assert secret not in admin.get("/welcome").content.decode()


def test_the_command_it_shows_can_be_sent(admin: Client, shop: Log) -> None:
    page = admin.post("/welcome/key", {"system": "shop"})
    shown = "".join(read(page).words)
    command = shown[shown.index("curl ") : shown.index("}}'") + 3]
    body = command.split("-d '")[1].rstrip("'")
    assert json.loads(body) == {
        "specversion": "1.0", "id": "1", "source": "web", "type": "OrderPlaced",
        "subject": "order-1", "data": {"total": 129.0},
    }  # fmt: skip


def test_only_an_administrator_makes_keys(viewer: Client, shop: Log) -> None:
    assert "An administrator of shop can make a key for you" in text(viewer.get("/welcome"))
    assert viewer.post("/welcome/key", {"system": "shop"}).status_code == 403
    assert viewer.post("/welcome/key", {"system": "bank"}).status_code == 403
    assert not ApiKey.objects.exists()


def test_the_tour_ticks_itself_off(viewer: Client, shop: Log) -> None:
    (order,) = shop.append(envelope(type="OrderPlaced", source="/web"))
    shop.append(*(delivery("payments", cause=order) for _ in range(2)))
    (below,) = shop.append(
        envelope(type="StockReserved", stream="stock-SKU7", data={"available": -1})
    )
    shop.append(envelope())
    assert "0 of 6" in text(viewer.get("/welcome"))
    viewer.get(f"/shop/events/drawer?event={order}", headers=PART)
    assert "0 of 6" in text(viewer.get("/welcome"))  # not before there is a reason to look
    viewer.get(f"/shop/events/drawer?event={below}", headers=PART)
    viewer.get(f"/shop/moment?at={order}")
    viewer.get(f"/shop/events/drawer?event={order}", headers=PART)
    assert "3 of 6" in text(viewer.get("/welcome"))
    asked = {"stream": "stock-SKU7", "expr": "stock-SKU7.available < 0"}
    assert viewer.get("/shop/states/find", asked).status_code == 200
    assert "4 of 6" in text(viewer.get("/welcome"))
    assert Preferences.objects.get().tour == ["see", "rewind", "began", "cause"]
    assert viewer.post("/welcome/tour")["Location"] == "/welcome#tour"
    assert "0 of 6" in text(viewer.get("/welcome"))


def test_a_trace_with_a_repeat_is_a_step_too(viewer: Client, shop: Log) -> None:
    (order,) = shop.append(envelope(type="OrderPlaced", source="/web", correlation="c"))
    shop.append(*(delivery("payments", cause=order) for _ in range(2)))
    (below,) = shop.append(envelope(type="StockReserved", data={"available": -1}))
    viewer.get(f"/shop/events/drawer?event={below}", headers=PART)
    viewer.get(f"/shop/traces/{order}")
    assert Preferences.objects.get().tour == ["see", "cause"]


def test_the_demo_is_one_click_away_where_it_is(viewer: Client, shop: Log) -> None:
    assert "manage.py up --demo" in text(viewer.get("/welcome"))
    shop.add()
    assert "/shop/events" in links(viewer.get("/welcome"))


def test_help_as_a_page(viewer: Client, shop: Log) -> None:
    page = viewer.get("/keyboard")
    assert "Step one event" in text(page)
    assert "handled-by" in text(page)
    assert not read(page).forbidden


def test_pages_without_a_system_lead_back_to_the_last_one(root: Client, shop: Log) -> None:
    create_system("bank")
    assert "/bank/events" in links(root.get("/account"))
    root.get("/shop/events")
    for path in ("/welcome", "/account", "/keyboard"):
        assert {"/shop/events", "/shop/traces", "/shop/state"} <= set(links(root.get(path)))
