"""Names and data that would like to be more than text, on every page and in every part."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from tests.conftest import Log
from tests.factories import delivery, envelope
from tests.pages.reading import read

pytestmark = pytest.mark.only("sqlite")  # what is shown as text does not depend on the database

MARK = "<img src=x onerror=alert(1)>"
EVIL = [
    f"<script>alert(1)</script>{MARK}",
    f'"onmouseover="alert(1)" x="{MARK}',
    f"'><svg onload=alert(1)>{MARK}",
    f"javascript:alert(1)//{MARK}",
    "{{ 7|add:7 }}{% load static %}${7*7}" + MARK,
    f"<!--{MARK}-->]]></title></textarea></script>",
    f"\u202e\u2066\u200b\ufeff{MARK}\u2069",
    f"\x1b[2J\x07\x7f{MARK}",
    "x" * 900 + MARK,
    "🎉 ẞ 東京 \u0301\u0301\u0301" + MARK,
]
PART = {"HX-Request": "true"}
SEEN = ("title", "aria-label", "alt", "placeholder")
NAMES = (
    "type", "source", "stream", "correlation", "channel", "partition", "offset", "key", "tap",
)  # fmt: skip
PAGES = [
    "events", "events?draw=1&event=1", "events?draw=1&event=2&view=raw", "bookmarks",
    "subscribers", "subscribers?view=table&draw=1", "events?draw=1&event=2&view=hex",
    "events?with=deliveries&col=a", "events/saved",
]  # fmt: skip
PARTS = [
    "dock", "subscribers", "events/results", "events/counts", "events/rows?before=99",
    "events/drawer?event=1",
    "events/drawer?event=2", "events/suggest?q=type:&caret=5", "events/suggest?q=source:&caret=7",
]  # fmt: skip
ADDRESSED = ("who", "q", "at", "col", "zoom", "event", "before", "with", "view", "go", "timeline")


SOME = 2  # looked at each time; the rest where there is more of it


@pytest.fixture(
    params=[
        pytest.param(text, id=str(n), marks=pytest.mark.slow if n >= SOME else ())
        for n, text in enumerate(EVIL)
    ]
)
def evil(request: pytest.FixtureRequest, db: None) -> str:
    text: str = request.param
    line = create_system("shop", name=text[:255])
    names = dict.fromkeys(NAMES, text[:1024])
    header = json.dumps({text: text, "traceparent": text}).encode()
    data = {text: text, "a": text, "list": [text, {text: [text]}]}
    (cause,) = append(line, [envelope(**names, id=text, metadata=header, data=data)]).positions
    error = {"attempt": text, "error": text, "started_at": text, "finished_at": text}
    append(
        line,
        [
            delivery(text[:1024], cause=cause, data=error),
            delivery(text[:1024], text[:100], cause=cause, data=b"\xff" + text.encode()),
            envelope(
                **names | {"content_type": text}, id="2" + text, causation=text, data=text.encode()
            ),
            envelope(
                type=f"{text[:1000]}Deployed", source=text[:1024],
                data={"service": text, "version": text},
            ),
        ],
    )  # fmt: skip
    return text


def check(response: object, evil: str) -> None:
    page = read(response)
    assert not page.forbidden
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "base"}, tag
        assert not [
            name for name in attributes if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9:-]*", name)
        ]
        assert tag != "svg" or not attributes.keys() & {"onload"}
    html = response.content.decode()  # type: ignore[attr-defined]
    assert "alert(1)</script>" not in html
    seen = [*page.words, *(a[k] for _, a in page.elements for k in SEEN if k in a)]
    assert not re.search("[\u202e\u2066\u200b\ufeff\x1b\x07\x7f]", "".join(seen))


def test_pages_show_it_as_text(viewer: Client, evil: str) -> None:
    for path in PAGES:
        response = viewer.get(f"/shop/{path}")
        assert response.status_code == 200, path
        check(response, evil)


def test_parts_show_it_as_text(viewer: Client, evil: str) -> None:
    for path in PARTS:
        response = viewer.get(f"/shop/{path}", headers=PART)
        assert response.status_code == 200, path
        check(response, evil)


def test_addresses_are_text_too(viewer: Client, evil: str) -> None:
    pages = ("events", "bookmarks", "events?draw=1", "subscribers")
    for name in ADDRESSED:
        for path in ("/welcome", *(f"/shop/{page}" for page in pages)):
            response = viewer.get(path, {name: evil} | ({"draw": "1"} if "draw" in path else {}))
            assert response.status_code in (200, 404, 422), (name, path)
            check(response, evil)


@pytest.fixture
def shop(evil: str) -> Log:
    """The system with hostile content: people are made members of it."""
    from apps.eventlog.queries import log

    return Log(log.line("shop"))


def test_every_link_leads_to_what_it_names(viewer: Client, evil: str) -> None:
    """Links hold the exact names: following them finds the very event again."""
    drawer = read(viewer.get("/shop/events/drawer?event=1", headers=PART))
    asked = [a["href"] for t, a in drawer.elements if t == "a" and "q=" in a.get("href", "")]
    assert asked
    for href in asked:
        page = read(viewer.get(f"/shop/events{href}"))
        assert "1" in [a.get("data-pos") for t, a in page.elements if t == "tr"], href


def test_people_with_such_names(viewer: Client, evil: str, admin: Client) -> None:
    from apps.access.models import User

    User.objects.filter(username="vera").update(username=evil[:150])
    for path in ("/account", "/welcome", "/shop/events"):
        check(viewer.get(path), evil)
    check(admin.get("/account"), evil)
