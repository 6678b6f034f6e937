"""The Sources page."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.models import User
from apps.ingest.commands import intake, taps
from apps.ingest.connector import Batch, Gap, Record
from apps.ingest.models import Reject, Tap
from tests.conftest import Log
from tests.pages.conftest import client_of
from tests.pages.reading import read, text

PAGE = "/shop/sources"
SECRET = "canary-4711"
NASTY = '<img src=x onerror="alert(1)">\u202e'


@pytest.fixture
def tap(shop: Log, tmp_path: Path) -> Tap:
    return taps.add(shop.line, "logs", "files", {"path": str(tmp_path)}, by=CONSOLE)


def store(tap: Tap, *bodies: bytes, gaps: Any = ()) -> None:
    form = taps.form(tap.system, tap.name, taps.settings_of(tap))
    records = [Record(body=b, channel="c", offset=str(n)) for n, b in enumerate(bodies)]
    batch = Batch(records, gaps=gaps)
    intake.store(tap, batch, intake.decode(batch, form), form, None)


def added(**fields: str) -> dict[str, str]:
    return {"bus": "files", "name": "logs", "do": "add", "set.path": "/nowhere/*.ndjson"} | fields


def test_it_works(viewer: Client, shop: Log, tap: Tap, tmp_path: Path) -> None:
    store(tap, b'{"n":1}', b'{"n"')
    page = viewer.get(PAGE)
    assert page.status_code == 200
    words = text(page)
    assert "2 received = 1 stored + 0 duplicates + 1 rejected" in words
    assert str(tmp_path) in words
    assert "invalid_json" in words
    assert not read(page).forbidden
    assert "Add a source" not in words, "a viewer changes nothing"
    assert "Try all again" not in words


def test_an_empty_page_says_what_to_do(viewer: Client, admin: Client, shop: Log) -> None:
    assert "An administrator of this system can add a source" in text(viewer.get(PAGE))
    assert "Choose a bus" in text(admin.get(PAGE))


@pytest.mark.parametrize("role", ["viewer", "debugger"])
def test_only_an_administrator_changes_sources(
    person: Callable[..., User], shop: Log, tap: Tap, role: str
) -> None:
    client = client_of(person("paul", shop, role))
    for address, data in (
        (PAGE, added(name="other")),
        (f"{PAGE}/tap/logs", {"do": "stop"}),
        (f"{PAGE}/quarantine", {"do": "discard"}),
    ):
        assert client.post(address, data).status_code == 403
    tap.refresh_from_db()
    assert tap.wanted


def test_a_source_is_added_steered_and_removed(admin: Client, shop: Log) -> None:
    assert admin.post(PAGE, added()).status_code == 302
    tap = Tap.objects.get(name="logs")
    assert tap.wanted
    for do, wanted in (("stop", False), ("start", True)):
        admin.post(f"{PAGE}/tap/logs", {"do": do})
        tap.refresh_from_db()
        assert tap.wanted is wanted
    Tap.objects.update(cursor='{"a":"1"}')
    admin.post(f"{PAGE}/tap/logs", {"do": "rewind", "to": "beginning"})
    tap.refresh_from_db()
    assert tap.cursor == "{}"
    bad = admin.post(f"{PAGE}/tap/logs", {"do": "rewind", "to": "yesterday"})
    assert (bad.status_code, "setting start" in text(bad)) == (422, True)
    admin.post(f"{PAGE}/tap/logs", {"do": "remove"})
    assert not Tap.objects.exists()


def test_a_draft_does_not_run(admin: Client, shop: Log) -> None:
    admin.post(PAGE, added(do="draft"))
    assert not Tap.objects.get().wanted
    assert "paused" in text(admin.get(PAGE))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "No Name"}, "is no name for a tap"),
        ({"set.path": ""}, "path is missing"),
        ({"set.path": "here"}, "absolute"),
        ({"set.colour": "red"}, "colour"),
        ({"set.map.type": "data.."}, "map.type"),
        ({"set.redact": "burn it"}, "redact"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    admin: Client, shop: Log, fields: dict[str, str], said: str
) -> None:
    answer = admin.post(PAGE, added(**fields))
    assert answer.status_code == 422
    assert said in text(answer)
    typed = [a.get("value") for _, a in read(answer).elements if a.get("name") == "name"]
    assert typed == [added(**fields)["name"]]
    assert not Tap.objects.exists()


def test_checking_looks_and_shows_how_the_last_records_are_read(
    admin: Client, shop: Log, tmp_path: Path
) -> None:
    (tmp_path / "a.ndjson").write_text('{"kind":"Paid","order":"o-1"}\n')
    fields = added(**{"do": "check", "set.path": str(tmp_path), "set.map.type": "data.kind"})
    whole = admin.post(PAGE, fields)
    assert "1 files with" in text(whole)
    part = admin.post(PAGE, fields, headers={"HX-Request": "true"})
    assert "Paid" in text(part)
    assert "<html" not in part.content.decode()
    sample = next(a["value"] for _, a in read(part).elements if a.get("name") == "sample")
    (tmp_path / "a.ndjson").unlink()
    again = admin.post(
        PAGE, fields | {"do": "preview", "sample": sample, "set.map.type": "data.order"},
        headers={"HX-Request": "true"},
    )  # fmt: skip
    assert "o-1" in text(again)
    assert not Tap.objects.exists()


def test_a_secret_is_never_shown_again(admin: Client, shop: Log) -> None:
    kafka = {"bus": "kafka", "name": "orders", "do": "draft", "set.servers": "b:1",
             "set.topics": "t", "set.password": SECRET}  # fmt: skip
    assert admin.post(PAGE, kafka | {"set.registry": f"http://u:{SECRET}@r"}).status_code == 302
    page = admin.get(f"{PAGE}?tap=orders").content.decode()
    assert SECRET not in page
    assert "http://u:•••@r" in page
    change = {"do": "change", "set.servers": "b:2", "set.topics": "t",
              "set.registry": "http://u:•••@r"}  # fmt: skip
    assert admin.post(f"{PAGE}/tap/orders", change).status_code == 302
    kept = taps.settings_of(Tap.objects.get())
    assert (kept["servers"], kept["password"]) == ("b:2", SECRET)
    assert kept["registry"] == f"http://u:{SECRET}@r"


def test_a_record_in_quarantine_is_read_tried_again_and_discarded(
    admin: Client, shop: Log, tap: Tap
) -> None:
    store(tap, b"\x81\xa1a\x01", b"\xff\xfe", b'{"ok":1}')
    first, second = Reject.objects.order_by("pk")
    page = text(admin.get(f"{PAGE}?reject={first.pk}"))
    assert "81 a1 61 01" in page
    assert "decode as msgpack" in page
    done = admin.post(f"{PAGE}/quarantine", {"reject": first.pk, "codec": "msgpack", "do": "retry"})
    assert done.status_code == 302
    tap.refresh_from_db()
    assert (tap.received, tap.stored, tap.rejected) == (3, 2, 1)
    assert [e.value() for e in shop.read()] == [{"ok": 1}, {"a": 1}]
    admin.post(f"{PAGE}/quarantine", {"do": "retry"})
    assert Reject.objects.get() == second
    admin.post(f"{PAGE}/quarantine", {"reject": second.pk, "do": "discard"})
    assert not Reject.objects.exists()


def test_gaps_are_told(viewer: Client, shop: Log, tap: Tap) -> None:
    gap = Gap(channel="orders", partition="1", cause="retention", after="4", upto="9", count=5,
              at=1, words="Retention removed records.")  # fmt: skip
    store(tap, gaps=[gap])
    words = text(viewer.get(PAGE))
    assert "orders/1@4…9" in words
    assert "Retention removed records." in words


def test_names_and_bytes_from_outside_stay_text(admin: Client, shop: Log, tap: Tap) -> None:
    store(tap, b'{"' + NASTY.encode())
    Tap.objects.update(said=NASTY, state="failing")
    reject = Reject.objects.get()
    for address in (PAGE, f"{PAGE}?tap=logs", f"{PAGE}?reject={reject.pk}"):
        page = admin.get(address)
        assert not read(page).forbidden
        assert not [t for t, a in read(page).elements if t == "img"]
        assert "\u202e" not in page.content.decode()


def test_another_systems_things_are_not_there(
    person: Callable[..., User], shop: Log, tap: Tap
) -> None:
    from apps.eventlog.commands.systems import create_system

    store(tap, b"{")
    other = Log(create_system("other"))
    stranger = client_of(person("otto", other, "admin"))
    number = Reject.objects.get().pk
    assert stranger.get(PAGE).status_code == 404
    assert stranger.get(f"/other/sources?tap={tap.name}").status_code == 404
    assert stranger.get(f"/other/sources?reject={number}").status_code == 404
    assert stranger.post("/other/sources/tap/logs", {"do": "stop"}).status_code == 404
    stranger.post("/other/sources/quarantine", {"reject": number, "do": "discard"})
    assert Reject.objects.count() == 1


def test_a_costly_recording_says_how_long_and_how_much(admin: Client, shop: Log) -> None:
    fields = {"bus": "rabbitmq", "name": "rabbit", "do": "draft", "set.firehose": "10",
              "set.url": "amqp://guest:guest@127.0.0.1:1/",
              "set.management": "http://guest:guest@127.0.0.1:1"}  # fmt: skip
    assert admin.post(PAGE, fields).status_code == 302
    words = text(admin.get(f"{PAGE}?tap=rabbit"))
    assert "will be armed for 10 min" in words
    assert "55 to 84 %" in words
    Tap.objects.update(cursor='{"firehose":"1"}')
    assert "is off again" in text(admin.get(f"{PAGE}?tap=rabbit"))


def test_what_arming_costs_is_said_before_and_how_long_it_lasts(admin: Client, shop: Log) -> None:
    assert "55 to 84 %" in text(admin.get(f"{PAGE}?add=rabbitmq"))
    fields = {"bus": "rabbitmq", "name": "rabbit", "do": "draft", "set.exchanges": "shop",
              "set.url": "amqp://guest:guest@127.0.0.1:1/"}  # fmt: skip
    assert admin.post(PAGE, fields).status_code == 302
    words = text(admin.get(f"{PAGE}?tap=rabbit"))
    assert "55 to 84 %" in words
    assert "Disarm" not in words
    assert "Read again" not in words, "an exchange keeps nothing"
    tap = f"{PAGE}/tap/rabbit"
    assert admin.post(tap, {"do": "arm", "minutes": "7"}).status_code == 302
    assert "will be armed for 7 min" in text(admin.get(PAGE)), "the list says it too"
    began = time.time_ns() // 1000 - 90_000_000
    Tap.objects.update(cursor=f'{{"firehose":"{began}"}}')
    assert "armed for 6 more min" in text(admin.get(f"{PAGE}?tap=rabbit"))
    change = {"do": "change", "set.exchanges": "other", "set.url": fields["set.url"]}
    hidden = [a for _, a in read(admin.get(f"{PAGE}?tap=rabbit")).elements
              if a.get("name") == "set.firehose"]  # fmt: skip
    assert (hidden[0]["type"], hidden[0]["value"]) == ("hidden", "7")
    admin.post(tap, change | {"set.firehose": "7"})
    assert "armed for 6 more min" in text(admin.get(f"{PAGE}?tap=rabbit")), "it goes on"
    for bad in ("-1", "1441", "soon", ""):
        assert admin.post(tap, {"do": "arm", "minutes": bad}).status_code == 422
        assert "firehose" in Tap.objects.get().cursor
    admin.post(tap, {"do": "disarm"})
    assert "Disarm" not in text(admin.get(f"{PAGE}?tap=rabbit"))


def test_every_tap_says_what_it_can_promise(viewer: Client, shop: Log, tap: Tap) -> None:
    signs = [a["title"] for _, a in read(viewer.get(PAGE)).elements
             if (a.get("class") or "").startswith("g g-")]  # fmt: skip
    assert signs == [taps.connector(tap, taps.settings_of(tap)).guarantee().words]
    assert "exactly once" in text(viewer.get(f"{PAGE}?tap=logs"))


def test_a_tap_there_is_can_be_looked_at_and_its_mapping_tried(
    admin: Client, shop: Log, tap: Tap, tmp_path: Path
) -> None:
    (tmp_path / "a.ndjson").write_text('{"kind":"Paid"}\n')
    fields = {"set.path": str(tmp_path), "set.map.type": "data.kind", "do": "check"}
    for headers in ({}, {"HX-Request": "true"}):
        page = admin.post(f"{PAGE}/tap/logs", fields, headers=headers)
        assert page.status_code == 200
        assert "Paid" in text(page)
        tried = [a["hx-post"] for _, a in read(page).elements if a.get("id") == "map-type"]
        assert tried == [f"{PAGE}/tap/logs"]
