"""Bookmarks and saved queries: who may see, keep, change and delete them."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.access.models import Trail
from apps.pages.models import Bookmark, SavedQuery
from tests.conftest import Log
from tests.pages.reading import links, text

PART = {"HX-Request": "true"}


def keep(client: Client, name: str = "a moment", **fields: object) -> int:
    answer = client.post("/shop/bookmarks", {"position": 7, "name": name, **fields})
    assert answer.status_code == 302, answer.content
    return int(Bookmark.objects.latest("pk").pk)


def test_it_works(viewer: Client, trade: Log) -> None:
    keep(viewer, "the first failure")
    page = viewer.get("/shop/bookmarks")
    assert "the first failure" in text(page)
    assert "/shop/events?at=7" in links(page, data_seek="7")
    kept = Bookmark.objects.get()
    assert (kept.position, kept.time, kept.shared) == (7, trade.read()[6].log_time, False)


def test_private_ones_are_seen_by_their_maker_alone(
    viewer: Client, debugger: Client, root: Client, trade: Log
) -> None:
    number = keep(viewer, "mine")
    for other in (debugger, root):
        assert "mine" not in text(other.get("/shop/bookmarks"))
        assert other.post(f"/shop/bookmarks/{number}", {"do": "delete"}).status_code == 404
    assert Bookmark.objects.count() == 1


def test_sharing_needs_a_debugger(viewer: Client, debugger: Client, trade: Log) -> None:
    assert (
        viewer.post("/shop/bookmarks", {"position": 7, "name": "x", "shared": "1"}).status_code
        == 403
    )
    keep(debugger, "ours", shared="1")
    assert "ours" in text(viewer.get("/shop/bookmarks"))
    assert Trail.objects.filter(what="shared moment").count() == 1
    assert "sharing needs the role debugger" in text(viewer.get("/shop/bookmarks"))


def test_what_is_shared_is_changed_by_its_maker_and_administrators(
    viewer: Client, debugger: Client, admin: Client, trade: Log
) -> None:
    number = keep(debugger, "ours", shared="1")
    assert viewer.post(f"/shop/bookmarks/{number}", {"name": "stolen"}).status_code == 403
    debugger.post(f"/shop/bookmarks/{number}", {"name": "renamed", "shared": "1"})
    assert Bookmark.objects.get().name == "renamed"
    admin.post(f"/shop/bookmarks/{number}", {"do": "delete"})
    assert not Bookmark.objects.exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "  "}, "A name is missing"), ({"name": "x" * 201}, "200 are the most"),
        ({"name": "x", "position": "99999"}, "There is no position 99999"),
        ({"name": "a\0b"}, "A name is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_said(
    viewer: Client, trade: Log, fields: dict[str, str], reason: str
) -> None:
    fields = {"position": "7", **fields}
    assert reason in text(viewer.post("/shop/bookmarks", fields))
    part = viewer.post("/shop/bookmarks", fields, headers=PART)
    assert (part.status_code, part["HX-Retarget"]) == (422, "#refused")
    assert not Bookmark.objects.exists()


def test_with_htmx_the_list_is_drawn_anew_and_the_bar_looks_again(
    viewer: Client, trade: Log
) -> None:
    part = viewer.post("/shop/bookmarks", {"position": 7, "name": "here"}, headers=PART)
    assert "here" in text(part)
    assert '"marks"' in part["HX-Trigger"]
    assert "<html" not in part.content.decode()


def test_names_are_text(debugger: Client, trade: Log) -> None:
    keep(debugger, "<script>alert(1)</script>\u202e", shared="1")
    for address in ("/shop/bookmarks", "/shop/dock"):
        html = debugger.get(address, headers=PART).content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in html


def test_saved_queries(viewer: Client, debugger: Client, trade: Log) -> None:
    fields = {"q": "type:OrderPlaced", "col": ["total"], "name": "orders", "shared": "1"}
    assert debugger.post("/shop/events/saved", fields).status_code == 302
    page = viewer.get("/shop/events/saved?at=7")
    assert "/shop/events?at=7&q=type%3AOrderPlaced&col=total" in links(page, data_soft="")
    number = SavedQuery.objects.get().pk
    assert viewer.post(f"/shop/events/saved/{number}", {"do": "delete"}).status_code == 403
    debugger.post(f"/shop/events/saved/{number}", {"do": "delete"})
    assert not SavedQuery.objects.exists()


def test_a_query_that_cannot_be_read_is_not_saved(viewer: Client, trade: Log) -> None:
    answer = viewer.post("/shop/events/saved", {"q": "typ:x", "name": "broken"})
    assert answer.status_code == 422
    assert "Column 1" in text(answer)
    assert viewer.get("/shop/events/saved?q=typ:x").status_code == 200


def test_nothing_of_another_system(viewer: Client, trade: Log, root: Client) -> None:
    from apps.eventlog.commands.systems import create_system

    create_system("bank")
    assert viewer.get("/bank/bookmarks").status_code == 404
    assert viewer.post("/bank/bookmarks", {"position": 1, "name": "x"}).status_code == 404
    number = keep(root, "shops", shared="1")
    assert root.post(f"/bank/bookmarks/{number}", {"do": "delete"}).status_code == 404
