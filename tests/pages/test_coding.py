"""Typing a reducer on the State page, and hearing that code changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from apps.projections.models import Code
from apps.projections.queries import sources
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db
SOURCE = "def reducer(state, event):\r\n    return {'twice': event.data['n'] * 2}\r\n"


@pytest.fixture
def order(shop: Log) -> Log:
    shop.append(envelope(stream="order-1", data={"n": 4}))
    return shop


def form(**changed: str) -> dict[str, str]:
    return {"stream": "order-1", "name": "mine", "streams": "order-*", "source": SOURCE} | changed


def kept(client: Client, **changed: str) -> Any:
    return client.post("/shop/states/code", form(**changed), headers={"HX-Request": "true"})


def test_a_reducer_is_typed_and_looked_at(order: Log, debugger: Client) -> None:
    page = debugger.get("/shop/states/code", {"stream": "order-1"}).content.decode()
    assert 'value="my-order"' in page
    assert 'value="order-*"' in page
    answer = kept(debugger)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/shop/state/order-1?projection=mine"
    page = debugger.get(answer["HX-Redirect"]).content.decode()
    assert "twice" in page
    assert "mine@" in page
    again = debugger.get("/shop/states/code", {"stream": "order-1", "projection": "mine"})
    assert "event.data[&#x27;n&#x27;] * 2" in again.content.decode()
    assert debugger.post("/shop/states/code", form()).status_code == 302


def test_the_code_before_is_offered_and_works(order: Log, debugger: Client) -> None:
    kept(debugger)
    first = Code.objects.get().fingerprint
    kept(debugger, source=SOURCE.replace("2}", "3}"))
    page = debugger.get("/shop/state/order-1", {"projection": "mine"}).content.decode()
    assert first.replace("@", "%40") in page
    before = debugger.get("/shop/state/order-1", {"projection": first, "tab": "raw"})
    assert "&quot;twice&quot;: 8" in before.content.decode()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"source": "def reducer(:"}, "line 1"),
        ({"source": "x = 1"}, "no function"),
        ({"name": "A/B"}, "small letters"),
        ({"streams": " "}, "which streams"),
        ({"source": "<script>alert(1)</script>"}, "SyntaxError"),
    ],
)
def test_what_cannot_be_kept_is_said(
    order: Log, debugger: Client, changed: dict[str, str], words: str
) -> None:
    answer = kept(debugger, **changed)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert b"<script>alert" not in answer.content
    assert not Code.objects.exists()


def test_a_failing_reducer_fails_on_the_page_alone(order: Log, debugger: Client) -> None:
    kept(debugger, source="def reducer(state, event):\n    return event.data['no']\n")
    page = debugger.get("/shop/state/order-1", {"projection": "mine"})
    assert page.status_code == 200
    assert "KeyError: no (line 2)" in page.content.decode()


def test_a_viewer_types_nothing(order: Log, viewer: Client) -> None:
    assert kept(viewer).status_code == 403
    assert b"Write one" not in viewer.get("/shop/state/order-1").content


def test_it_is_offered_no_more(order: Log, debugger: Client) -> None:
    kept(debugger)
    assert kept(debugger, retire="1")["HX-Redirect"].rstrip("?") == "/shop/state/order-1"
    assert sources.projections(order.line)[0] == {}


def test_changed_code_is_news_once(order: Log, debugger: Client) -> None:
    kept(debugger)
    asked = {"projection": "mine", "mark": sources.mark(order.line, "mine")}
    answer = debugger.get("/shop/states/code/news", asked)
    assert (answer.status_code, "HX-Trigger" in answer) == (204, False)
    kept(debugger, source=SOURCE.replace("2}", "3}"))
    told = json.loads(debugger.get("/shop/states/code/news", asked)["HX-Trigger"])
    assert "mine" in told["refold"]["text"]


def test_the_raw_view_has_what_came_beside_what_reducers_see(
    shop: Log, debugger: Client, settings: Any
) -> None:
    settings.CODE = ("examples.shop.reducers",)
    try:
        shop.append(envelope(stream="order-1", type="OrderPlaced", data={"sku": "S1", "qty": 2}))
        page = debugger.get("/shop/state/order-1", {"tab": "raw", "projection": "order"})
        text = page.content.decode()
        assert "as received" in text
        assert "as reducers see it: version 2" in text
        assert "&quot;lines&quot;: [" in text
    finally:
        sources._runners.pop(("examples.shop.reducers",)).close()


def test_the_next_and_the_last_change_of_a_field(shop: Log, debugger: Client) -> None:
    for n in (1, 2, 2, 2, 3):
        shop.append(envelope(stream="s-1", data={"n": n, "seen": True}))
    page = debugger.get("/shop/state/s-1", {"field": "/n", "at": "4"}).content.decode()
    assert 'data-seek="2" title="Where this field changed before"' in page
    assert 'data-seek="5" title="Where this field changes next"' in page
    page = debugger.get("/shop/state/s-1", {"field": "/n", "at": "2"}).content.decode()
    assert 'data-seek="1" title="Where this field changed before"' in page


def test_a_search_looks_at_what_the_code_makes(shop: Log, debugger: Client) -> None:
    for n in (1, 2, 3):
        shop.append(envelope(stream="order-1", data={"n": n}))
    kept(debugger)
    page = debugger.get("/shop/state/order-1", {"projection": "mine"}).content.decode()
    assert '<input type="hidden" name="projection" value="mine">' in page
    for how, stream in (("scan", "order-1"), ("bisect", "order-1"), ("category", "order-1")):
        asked = {"stream": stream, "how": how, "expr": "state.twice > 3", "projection": "mine"}
        page = debugger.get("/shop/states/find", asked).content.decode()
        assert "First true at #2" in page
    wrong = debugger.get("/shop/states/find", asked | {"projection": "none"})
    assert wrong.status_code == 422
    assert "No projection is called" in wrong.content.decode()
