"""Taps, rejects and subscribers in the JSON API."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.access.commands.people import create_user, set_role
from apps.ingest.commands import intake, taps
from apps.ingest.connector import Batch, Record
from apps.ingest.models import Reject, Tap
from evdebug.api import api
from tests.conftest import Log
from tests.factories import delivery, envelope

pytestmark = pytest.mark.django_db
SECRET = "canary-5511"
RABBIT = {"url": "amqp://guest:guest@b/", "exchanges": "shop"}
MQTT = {"url": f"mqtt://me:{SECRET}@10.9.8.7", "topics": "a"}


class Caller:
    """Somebody signed in, or a program with a key."""

    def __init__(self, log: Log, role: str = "", scope: str = "") -> None:
        self.path, self.client = f"/api/v1/{log.line.slug}", Client()
        self.headers = {}
        if role:
            user = create_user(f"{role}-of-{log.line.slug}", by=CONSOLE, password="x" * 20)
            set_role(user, log.line.system, role, by=CONSOLE)
            self.client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        else:
            key = create_key(log.line.system, scopes=[scope], by=CONSOLE).secret
            self.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, path: str, body: Any = None) -> tuple[int, Any]:
        method, raw = ("GET", b"") if body is None else ("POST", json.dumps(body).encode())
        found = self.client.generic(
            method, self.path + path, raw, "application/json", headers=self.headers
        )
        return found.status_code, json.loads(found.content)


@pytest.fixture
def admin(log: Log) -> Caller:
    return Caller(log, role="admin")


@pytest.fixture
def reader(log: Log) -> Caller:
    return Caller(log, scope="read")


@pytest.fixture
def tap(log: Log, tmp_path: Path) -> Tap:
    return taps.add(log.line, "logs", "files", {"path": str(tmp_path)}, by=CONSOLE)


def reject(tap: Tap, *bodies: bytes) -> None:
    form = taps.form(tap.system, tap.name, taps.settings_of(tap))
    batch = Batch([Record(body=b, channel="c", offset=str(n)) for n, b in enumerate(bodies)])
    intake.store(tap, batch, intake.decode(batch, form), form, None)


def test_it_works(admin: Caller, reader: Caller) -> None:
    new = {"name": "machines", "bus": "mqtt", "settings": MQTT, "wanted": False}
    status, made = admin("/taps", new)
    assert (status, made["name"], made["wanted"], made["state"]) == (
        201,
        "machines",
        False,
        "stopped",
    )
    assert reader("/taps") == (200, {"taps": [made]})
    status, one = reader("/taps/machines")
    assert (status, one["promise"]["level"]) == (200, "at_least_once")
    for answer in (made, one, reader("/taps")[1]):
        assert SECRET not in json.dumps(answer)
    for do, wanted in (("start", True), ("stop", False)):
        status, done = admin("/taps/machines", {"do": do})
        assert (status, done["wanted"]) == (200, wanted)
    assert admin("/taps/machines", {"do": "remove"}) == (200, {"name": "machines", "removed": True})
    assert reader("/taps/machines")[0] == 404


def test_a_change_keeps_what_is_shown_hidden(admin: Caller, log: Log) -> None:
    _, made = admin("/taps", {"name": "m", "bus": "mqtt", "settings": MQTT, "wanted": False})
    status, _ = admin("/taps/m", {"do": "change", "settings": made["settings"] | {"topics": "b"}})
    assert status == 200
    assert taps.settings_of(Tap.objects.get(name="m")) == MQTT | {"topics": "b"}


def test_a_tap_reads_again(admin: Caller, tap: Tap) -> None:
    Tap.objects.filter(pk=tap.pk).update(cursor='{"a":"1"}')
    assert admin("/taps/logs", {"do": "rewind", "to": "beginning"})[0] == 200
    tap.refresh_from_db()
    assert tap.cursor == "{}"


def test_a_costly_recording_is_armed_and_ended(admin: Caller, log: Log) -> None:
    made = {"name": "r", "bus": "rabbitmq", "settings": RABBIT, "wanted": False}
    assert admin("/taps", made)[1]["armed"] == ""
    status, armed = admin("/taps/r", {"do": "arm", "minutes": 7})
    assert (status, armed["settings"]["firehose"]) == (200, "7")
    assert "armed for 7 min once" in armed["armed"]
    assert admin("/taps/r", {"do": "arm", "minutes": 0})[1]["armed"] == ""


def test_arming_begins_anew_and_reading_again_does_not(admin: Caller, log: Log) -> None:
    settings = RABBIT | {"firehose": "5", "streams": "s"}
    admin("/taps", {"name": "r", "bus": "rabbitmq", "settings": settings, "wanted": False})
    Tap.objects.update(cursor='{"firehose":"1","stream s":"{}"}')
    assert "off again" in admin("/taps/r", {"do": "rewind", "to": "beginning"})[1]["armed"]
    assert Tap.objects.get().cursor == '{"firehose":"1"}'
    Tap.objects.update(cursor='{"firehose":"1","queue":"[]"}')
    assert "once this runs" in admin("/taps/r", {"do": "arm", "minutes": 5})[1]["armed"]
    assert Tap.objects.get().cursor == '{"queue":"[]"}'


@pytest.mark.parametrize(
    ("bus", "settings"),
    [
        ("rabbitmq", {"url": "amqp://b/", "exchanges": "shop"}),
        ("redis", {"url": "redis://b/0", "channels": "news"}),
        ("nats", {"url": "nats://b", "subjects": "news.>"}),
        ("mqtt", {"url": "mqtt://b", "topics": "a"}),
        ("postgresql", {"url": "postgresql://b/x", "channels": "news"}),
    ],
)
def test_what_a_bus_does_not_keep_is_not_read_again(
    admin: Caller, log: Log, bus: str, settings: dict[str, str]
) -> None:
    made = {"name": "t", "bus": bus, "settings": settings, "wanted": False}
    assert admin("/taps", made)[0] in (200, 201)
    status, told = admin("/taps/t", {"do": "rewind", "to": "beginning"})
    assert status == 422
    assert "keeps nothing that could be read again" in str(told)


def test_checking_says_what_is_there(admin: Caller, tap: Tap, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text("{}\n")
    status, found = admin("/taps/logs", {"do": "check"})
    assert (status, found["ok"]) == (200, True)
    assert found["lines"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/taps", {"name": "a b", "bus": "mqtt", "settings": MQTT}, "no name for a tap"),
        ("/taps", {"name": "logs", "bus": "mqtt", "settings": MQTT}, "already"),
        ("/taps", {"name": "a", "bus": "tram", "settings": {}}, "tram"),
        ("/taps", {"name": "a", "bus": "mqtt", "settings": {}}, "missing"),
        ("/taps", {"name": "a", "bus": "mqtt", "settings": MQTT | {"x": "1"}}, "not known"),
        ("/taps", {"name": "a", "bus": "mqtt"}, "settings"),
        ("/taps", {"name": 1, "bus": "mqtt", "settings": {}}, "name"),
        ("/taps", [], "object"),
        ("/taps/logs", {"do": "burn"}, "burn"),
        ("/taps/logs", {"do": "rewind", "to": "yesterday"}, "yesterday"),
        ("/taps/logs", {"do": "change"}, "settings is missing"),
        ("/taps/logs", {"do": "arm", "minutes": 5}, "nothing to arm"),
        ("/taps/logs", {"do": "arm", "minutes": 1441}, "minutes"),
        ("/taps/logs", {"do": "stop", "more": 1}, "more"),
        ("/rejects", {"do": "retry", "codec": "morse"}, "morse"),
        ("/rejects", {"do": "retry", "ids": [0]}, "ids"),
    ],
)
def test_what_cannot_be_is_refused(
    admin: Caller, tap: Tap, path: str, body: Any, said: str
) -> None:
    status, found = admin(path, body)
    assert status == 422
    assert said in found["detail"]
    assert SECRET not in found["detail"]
    assert Tap.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "scope"), [("viewer", ""), ("debugger", ""), ("", "read"), ("", "write")]
)
def test_only_an_administrator_changes_something(log: Log, tap: Tap, role: str, scope: str) -> None:
    call = Caller(log, role=role, scope=scope)
    assert call("/taps")[0] == 200
    for path, body in (
        ("/taps", {"name": "a", "bus": "mqtt", "settings": MQTT}),
        ("/taps/logs", {"do": "remove"}), ("/taps/logs", {"do": "check"}),
        ("/rejects", {"do": "discard"}),
    ):  # fmt: skip
        assert call(path, body)[0] == 403
    assert Tap.objects.get().wanted


def test_a_form_token_is_needed_with_a_session(log: Log, admin: Caller, tap: Tap) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = admin.client.cookies
    found = careful.post(
        f"{admin.path}/taps/logs", b'{"do":"remove"}', content_type="application/json"
    )
    assert found.status_code == 403
    assert Tap.objects.exists()


def test_rejects_are_read_in_pages_tried_again_and_discarded(
    admin: Caller, reader: Caller, tap: Tap
) -> None:
    reject(tap, b'{"n"', b"\xff\x00", b'{"n":')
    status, first = reader("/rejects?limit=2")
    assert (status, len(first["rejects"])) == (200, 2)
    assert base64.b64decode(first["rejects"][0]["data_base64"]) == b'{"n"'
    assert first["rejects"][0]["can_retry"]
    _, rest = reader(f"/rejects?limit=2&after={first['next']}")
    assert (len(rest["rejects"]), rest["next"]) == (1, None)
    one = first["rejects"][1]["id"]
    counts = {"tried": 1, "stored": 1, "duplicates": 0, "left": 0}
    assert admin("/rejects", {"do": "retry", "ids": [one], "codec": "bytes"}) == (200, counts)
    assert admin("/rejects", {"do": "discard"}) == (200, {"discarded": 2})
    assert not Reject.objects.exists()


def test_subscribers_are_told_as_of_a_moment(reader: Caller, log: Log) -> None:
    (paid,) = log.append(envelope(type="Paid"))
    log.append(delivery("billing", "failed", cause=paid, data={"attempt": 1}))
    log.append(delivery("billing", cause=paid, data={"attempt": 2}))
    status, found = reader("/subscribers")
    assert (status, found["count"]) == (200, 1)
    (one,) = found["subscribers"]
    assert (one["subscriber"], one["observed"], one["retries"], one["lag"]) == (
        "billing",
        "=1",
        1,
        None,
    )
    assert one["attempts"] == {"handled": 1, "failed": 1, "dead_lettered": 0, "skipped": 0}
    assert one["last_handled"]["position"] == 3
    assert [(t["type"], t["seen"]) for t in one["types"]] == [("Paid", 2)]
    assert reader("/subscribers?at=2")[1]["subscribers"][0]["observed"] == ""
    assert reader("/subscribers?name=x")[1] == {"subscribers": [], "count": 0, "nobody": []}


def test_it_is_described() -> None:
    paths = api.get_openapi_schema()["paths"]
    for path, methods in (
        ("/taps", {"get", "post"}), ("/taps/{name}", {"get", "post"}),
        ("/rejects", {"get", "post"}), ("/subscribers", {"get"}),
    ):  # fmt: skip
        described = paths[f"/api/v1/{{system}}{path}"]
        assert set(described) == methods
        for each in described.values():
            assert each["description"]
    body = paths["/api/v1/{system}/taps"]["post"]["requestBody"]
    assert "settings" in body["content"]["application/json"]["schema"]["properties"]
