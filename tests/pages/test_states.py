"""The State page without a browser: who may see what, hostile names and data, code that changes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.pages.queries import folding
from apps.projections.models import Watch
from apps.projections.queries import sources
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202e/../?x#y'\""


@pytest.fixture
def client(debugger: Client) -> Client:
    return debugger


def address(stream: str) -> str:
    return reverse("pages:state", args=["shop", stream])


def part(client: Client, name: str, **query: Any) -> Any:
    return client.get(f"/shop/states/{name}", query, headers={"HX-Request": "true"})


def test_hostile_names_and_data_are_shown_as_text(shop: Log, client: Client) -> None:
    shop.append(envelope(stream=HOSTILE, type=HOSTILE, data={HOSTILE: HOSTILE, "n": 1}))
    for tab in ("", "diff", "compare", "raw"):
        answer = client.get(address(HOSTILE), {"tab": tab})
        assert answer.status_code == 200
        assert b"<script>alert" not in answer.content
        # A form's hidden value is the exact name; nobody sees it.
        seen = re.sub(r'value="[^"]*"', "", answer.content.decode())
        assert "\u202e" not in seen


def test_values_of_all_kinds_are_drawn(shop: Log, client: Client) -> None:
    values = [5, "text", None, [], {}, [1, [2, [3]]], {"a": {"b": {}}}, True, 10**40]
    for value in values:
        shop.append(envelope(stream="v", data={"x": value} if value != 5 else 5))
        assert client.get(address("v")).status_code == 200
    deep: Any = 1
    for _ in range(150):
        deep = {"k": deep}
    shop.append(envelope(stream="v", data={"deep": deep, "wide": list(range(5000))}))
    answer = client.get(address("v"))
    assert answer.status_code == 200
    assert b"Only the first lines are drawn" in answer.content


def test_a_stream_there_never_is_is_404(shop: Log, client: Client) -> None:
    shop.append(envelope(stream="a", data={}))
    assert client.get(address("absent")).status_code == 404
    assert part(client, "entity", stream="absent").status_code == 404


def test_the_parts_are_pages_to_a_person(shop: Log, client: Client) -> None:
    shop.append(envelope(stream="a", data={"n": 1}))
    for name in ("entity", "entities", "watches"):
        answer = client.get(f"/shop/states/{name}", {"stream": "a"})
        assert answer.status_code == 302
        assert answer["Location"].startswith(address("a"))
        assert part(client, name, stream="a").status_code == 200


def test_an_empty_system_says_so(shop: Log, client: Client) -> None:
    answer = client.get("/shop/state")
    assert answer.status_code == 200
    assert b"Nothing has a state yet" in answer.content


def test_find_as_a_page(shop: Log, client: Client) -> None:
    shop.append(*[envelope(stream="a", data={"n": n}) for n in (2, 1, 0, -1)])
    good = client.get("/shop/states/find", {"stream": "a", "expr": "a.n < 0"})
    assert b"First true at" in good.content
    assert "#4" in good.content.decode()
    wrong = client.get("/shop/states/find", {"stream": "a", "expr": "a.n <"})
    assert wrong.status_code == 422
    never = client.get("/shop/states/find", {"stream": "a", "expr": "a.n > 9", "how": "bisect"})
    assert b"Never true" in never.content


def test_watches_are_added_and_removed(shop: Log, client: Client) -> None:
    shop.append(envelope(stream="a", data={"n": 1}))
    data = {"stream": "a", "expr": "a.n > 5", "rule": "1"}
    answer = client.post("/shop/states/watch", data, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    kept = Watch.objects.get()
    assert kept.must_hold
    assert b"rule broken" in client.get(address("a")).content
    wrong = client.post("/shop/states/watch", data | {"expr": "a.n >"})
    assert wrong.status_code in (302, 422)
    client.post("/shop/states/watch", {"stream": "a", "remove": kept.pk})
    assert not Watch.objects.exists()


def test_a_viewer_looks_but_keeps_nothing(shop: Log, viewer: Client) -> None:
    shop.append(envelope(stream="a", data={"n": 1}))
    assert b'name="expr" value' not in viewer.get(address("a")).content
    answer = viewer.post("/shop/states/watch", {"stream": "a", "expr": "a.n > 5"})
    assert answer.status_code == 403
    assert not Watch.objects.exists()


Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the module that EVDEBUG_CODE names."""
    name = f"subject_{os.urandom(4).hex()}"
    monkeypatch.chdir(tmp_path)
    settings.CODE = (name,)

    def module(text: str) -> None:
        (tmp_path / f"{name}.py").write_text(f"from evdebug.sdk import reducer\n{text}")

    yield module
    for child in sources._runners.values():
        child.close()
    sources._runners.clear()


def test_changed_code_is_seen_at_the_next_look(shop: Log, client: Client, write: Write) -> None:
    text = '@reducer("mine", streams="a")\ndef mine(state, event):\n    return {"got": "first"}\n'
    write(text)
    shop.append(envelope(stream="a", data={"n": 1}))
    asked = {"stream": "a", "projection": "mine"}
    assert b"first" in part(client, "entity", **asked).content
    write(text.replace("first", "another"))
    assert b"another" in part(client, "entity", **asked).content
    write("def (")
    broken = part(client, "entity", **asked)
    assert broken.status_code == 200
    assert b"SyntaxError" in broken.content


MODELS = """
@reducer("totals", key=None)
def totals(state, event):
    return {"all": (state or {"all": 0})["all"] + 1}

@reducer("customer", key=lambda event: event.data.get("customer"))
def customer(state, event):
    return {"orders": (state or {"orders": 0})["orders"] + 1, "last": event.data["n"]}
"""


def test_read_models_are_listed_and_opened(shop: Log, client: Client, write: Write) -> None:
    write(MODELS)
    for n in range(12):
        shop.append(envelope(stream=f"order-{n}", data={"n": n, "customer": f"c/{n % 2}"}))
    listed = part(client, "entities", stream="order-1").content.decode()
    assert re.findall(r"state/([^?\"]+)\?projection=(\w+)", listed) == [
        ("totals", "totals"), ("c/1", "customer"), ("c/0", "customer"),
    ]  # fmt: skip
    for stream, projection, seen, beside in (
        ("totals", "totals", "9", (8, 10)), ("c/0", "customer", "5", (7, 11)),
    ):  # fmt: skip
        asked = {"projection": projection, "at": "9"}
        page = client.get(address(stream), asked).content.decode()
        assert "read model" in page
        assert re.search(rf'class="v-n[ b]*">{seen}<', page)
        for position in beside:
            assert f'data-seek="{position}"' in page
        for tab in ("diff", "compare", "raw"):
            assert client.get(address(stream), asked | {"tab": tab}).status_code == 200
        entities = part(client, "entities", stream=stream, **asked).content.decode()
        assert 'aria-current="true"' in entities
        assert 'state/order-3?at=9"' in entities
    missing = client.get(address("c/0"), {"projection": "absent"})
    assert missing.status_code == 404
    early = client.get(address("c/1"), {"projection": "customer", "at": "1"}).content.decode()
    assert "Not there yet" in early


def test_the_list_waits_for_nobodys_reducer(shop: Log, client: Client, write: Write) -> None:
    write(MODELS)
    shop.append(envelope(stream="order-1", data={"n": 1, "customer": "c-1"}))
    assert "projection=customer" in part(client, "entities", stream="order-1").content.decode()
    child = sources.runner()
    assert child
    with ThreadPoolExecutor(1) as other:
        other.submit(child._lock.acquire).result()
        try:
            page = part(client, "entities", stream="order-1").content.decode()
        finally:
            other.submit(child._lock.release).result()
    assert "its code is busy" in page
    assert "order-1" in page


def test_two_moments_are_compared_by_code(shop: Log, client: Client, write: Write) -> None:
    write(
        '@reducer("mine", streams="a")\ndef mine(state, event):\n    return {"at": event.position}'
    )
    for _ in range(3):
        shop.append(envelope(stream="a", data={"n": 1}))
    asked = {"tab": "compare", "a": "#1", "b": "#3", "projection": "mine"}
    page = client.get(address("a"), asked).content.decode()
    assert "/at" in page
    assert "+2" in page


def test_a_long_fold_by_code_says_how_far_it_is(
    shop: Log, client: Client, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "PATIENCE_S", 0)
    monkeypatch.setattr(folding, "AGAIN_S", 0)
    write(MODELS + '@reducer("mine", streams="a")\ndef mine(s, e):\n    return {"n": e.data["n"]}')
    shop.append(*[envelope(stream="a", data={"n": n}) for n in range(1000)])
    for stream, projection, found in (("a", "mine", "999"), ("totals", "totals", "1000")):
        asked = {"projection": projection}
        page, told = client.get(address(stream), asked).content.decode(), []
        while "aria-busy" in page:
            told.append(int(re.search(r'aria-label="(\d+)% folded', page)[1]))  # type: ignore[index]
            began = re.search(r"began=(\d+)", page)[1]  # type: ignore[index]
            page = part(client, "entity", stream=stream, began=began, **asked).content.decode()
        assert told == [40, 80]
        assert found in page.replace("\u202f", "")


def test_the_list_counts_and_puts_values_in_order(shop: Log, client: Client) -> None:
    for n, value in enumerate((5, -2, 9)):
        shop.append(envelope(stream=f"stock-{n}", data={"available": value, "sku": "x"}))
    shop.append(envelope(stream="stock-3", data={"available": 1}))
    shop.append(envelope(stream="stock-3", data=b"null"))

    def listed(**query: str) -> list[str]:
        page = part(client, "entities", stream="stock-0", **query).content.decode()
        assert "3 · 1 deleted" in page
        return re.findall(r'class="ell"><bdi>(stock-\d)', page)

    assert listed(order="low") == ["stock-1", "stock-0", "stock-2"]
    assert listed(order="high", f="available > -9") == ["stock-2", "stock-0", "stock-1"]
    assert b"Nothing has a state" not in client.get("/shop/state", follow=True).content


def test_a_history_to_scale(shop: Log, client: Client) -> None:
    for time, n in ((0, 3), (1_000_000, 2), (10_000_000, 1)):
        shop.append(envelope(stream="a", data={"n": n}, time=1_778_000_000_000_000 + time))
    page = part(client, "entity", stream="a", strip="time").content.decode()
    dots = [float(x) for x in re.findall(r'<circle class="hs-o[^"]*" cx="([\d.]+)%', page)]
    assert dots == [1.5, 11.2, 98.5]
    assert "strip=time" in page
    assert 'class="hs-e' not in page.replace("hs-ends", "")


def test_a_category_is_watched(shop: Log, client: Client) -> None:
    for n, value in enumerate((5, -2)):
        shop.append(envelope(stream=f"stock-{n}", data={"available": value}))
    data = {"stream": "stock-0", "expr": "state.available >= 0", "rule": "1", "over": "category"}
    headers = {"HX-Request": "true"}
    page = client.post("/shop/states/watch", data, headers=headers).content.decode()
    assert "stock-*" in page
    assert "False of" in page
    assert "/shop/state/stock-1" in page
    refused = client.post("/shop/states/watch", data | {"expr": "state.available"}, headers=headers)
    assert refused.status_code == 422


def test_a_long_fold_says_how_far_it_is(
    shop: Log, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "PATIENCE_S", 0)
    monkeypatch.setattr(folding, "AGAIN_S", 0)
    for _ in range(2):
        shop.append(*[
            envelope(stream="hot", data={"n": n, "pad": "x" * 300}) for n in range(1500)
        ])  # fmt: skip
    page = client.get(address("hot"), {"at": "3000"}).content.decode()
    looks, told = 0, []
    while "aria-busy" in page:
        told.append(int(re.search(r'aria-label="(\d+)% folded', page)[1]))  # type: ignore[index]
        began = re.search(r"began=(\d+)", page)[1]  # type: ignore[index]
        assert 'hx-trigger="load' in page
        answer = part(client, "entity", stream="hot", at="3000", began=began)
        page = answer.content.decode()
        assert ("HX-Trigger" in answer) is ("aria-busy" not in page)
        looks += 1
        assert looks < 30
    assert told == sorted(told)
    assert told[0] < 100
    assert len(told) > 1
    assert "1499" in page
