"""One event's data in parts, and copied."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from tests.conftest import Log
from tests.factories import envelope
from tests.pages.reading import links, read, text

PART = {"HX-Request": "true"}
ROWS = [{"id": n, "note": "n" * 30} for n in range(250)]


@pytest.fixture
def big(shop: Log) -> int:
    return shop.add(data={"rows": ROWS, "text": "x" * 5000, "a/b": {"~": [1.50]}})


def test_it_works(viewer: Client, big: int) -> None:
    part = viewer.get(f"/shop/events/{big}/part?pointer=/rows&offset=200", headers=PART)
    assert '"id"' not in text(part)
    assert "249" in text(part)
    assert not read(part).forbidden


def test_the_drawer_leads_to_every_value(viewer: Client, big: int) -> None:
    waiting = [f"/shop/events/drawer?event={big}"]
    seen = ""
    for _ in range(40):
        if not waiting:
            break
        part = viewer.get(waiting.pop(), headers=PART)
        assert part.status_code == 200
        seen += text(part)
        waiting += [h for h in links(part) if "/part?" in h]
    assert not waiting
    assert all(f"id : {row['id']} ," in seen for row in ROWS)
    assert seen.count("x") >= 5000
    assert "1.5" in seen


def test_a_pointer_to_nothing_is_nothing(viewer: Client, big: int) -> None:
    for pointer in ("/nope", "/rows/250", "/rows/x", "/text/0"):
        assert viewer.get(f"/shop/events/{big}/part?pointer={pointer}").status_code == 404
    assert viewer.get("/shop/events/99/part").status_code == 404


@pytest.mark.parametrize(
    ("data", "content_type", "view", "words"),
    [
        (b"\x00\xff\x01GIF", "image/gif", "", "\\u0000\\xff\\u0001GIF"),
        (b"\x00\xff\x01GIF", "image/gif", "hex", "00 ff 01 47 49 46"),
        (b"{oops", "application/json", "", "JSON is malformed"),
        (b"<b>text</b>", "text/html", "", "<b>text</b>"),
        (b'{"a": 1.50}', "application/json", "raw", '{"a": 1.50}'),
        (b"", "", "", "carries no data"),
        (b"[" * 2000 + b"]" * 2000, "application/json", "", "Not shown as a tree"),
    ],
)
def test_any_bytes_are_shown(
    viewer: Client, shop: Log, data: bytes, content_type: str, view: str, words: str
) -> None:
    position = shop.add(data=data, content_type=content_type)
    part = viewer.get(f"/shop/events/drawer?event={position}&view={view}", headers=PART)
    assert words in text(part)
    assert not read(part).forbidden
    assert "<b>text" not in part.content.decode()


def test_raw_and_hex_come_in_parts(viewer: Client, shop: Log) -> None:
    position = shop.add(data=b"a" * 100_000, content_type="text/plain")
    first = viewer.get(f"/shop/events/{position}/raw", headers=PART)
    assert text(first).count("a") >= 32 * 1024
    (href,) = [h for h in links(first) if "offset=" in h]
    assert text(viewer.get(href, headers=PART)).count("a") >= 32 * 1024
    assert "offset=4096" in links(viewer.get(f"/shop/events/{position}/hex", headers=PART))[0]
    assert viewer.get(f"/shop/events/{position}/hex?offset=99999999").status_code == 200


def test_copies(viewer: Client, big: int) -> None:
    event = viewer.get(f"/shop/events/{big}/copy/cloudevent")
    assert event["Content-Type"] == "text/plain; charset=utf-8"
    assert event["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert json.loads(event.content)["data"]["rows"] == ROWS
    assert viewer.get(f"/shop/events/{big}/copy/curl").content.startswith(
        b"curl http://localhost/v1/events"
    )
    assert json.loads(viewer.get(f"/shop/events/{big}/copy/data").content)["rows"] == ROWS
    assert viewer.get(f"/shop/events/{big}/copy/yaml").status_code == 404


def test_the_exact_bytes_are_a_file_and_never_a_page(viewer: Client, shop: Log) -> None:
    position = shop.add(data=b"<script>alert(1)</script>", content_type="text/html")
    answer = viewer.get(f"/shop/events/{position}/download")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_ten_megabytes(viewer: Client, shop: Log) -> None:
    rows = [{"id": n, "name": "x" * 400} for n in range(23_000)]
    position = shop.add(data=rows)
    page = viewer.get(f"/shop/events?event={position}&draw=1&col=0.name")
    assert page.status_code == 200
    assert len(page.content) < 500_000
    last = viewer.get(f"/shop/events/{position}/part?offset=22990", headers=PART)
    assert "22999" in text(last)


def test_an_event_whose_data_was_deleted(viewer: Client, shop: Log) -> None:
    from apps.eventlog.commands.forget import forget

    shop.append(envelope(stream="order-1", data={"a": 1}), envelope())
    forget(shop.line, stream="order-1")
    assert "deleted" in text(viewer.get("/shop/events/drawer?event=1", headers=PART))
    assert viewer.get("/shop/events").status_code == 200
    assert viewer.get("/shop/events/1/raw").status_code == 404
