from __future__ import annotations

import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.access.models import Heartbeat
from apps.eventlog.commands.systems import create_system
from apps.ingest.queries import Health
from apps.ingest.queries import health as HEALTH
from apps.ingest.writer import queue
from evdebug import health
from tests.conftest import Log
from tests.services import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of /readyz is remembered for seconds; each test begins without one."""
    monkeypatch.setattr(health, "READINESS", health.Readiness())
    monkeypatch.setattr(health, "FRESH_S", 0)
    writer_says(monkeypatch, "")


def writer_says(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Stand in for the writer's thread, which could not see a test's own transaction."""
    answer = Health(not reason, reason, 0, 0)
    monkeypatch.setattr("evdebug.health.queries.health", lambda: answer)


def ready(client: Client) -> tuple[int, list[str]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["problems"]


def test_it_is_alive_without_asking_the_database(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert client.get("/healthz").content == b"alive\n"


def test_none_of_them_makes_a_session(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = client.get(path)
        assert not answer.cookies
        assert "no-store" in answer["Cache-Control"]
    assert not Session.objects.exists()


def test_it_turns_red_when_nothing_can_be_written_and_heals_by_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        writer_says(broken, "the log cannot be written now (OperationalError)")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {
            "ready": False,
            "problems": [
                "Events cannot be stored: the log cannot be written now (OperationalError)."
            ],
        }
        assert answer["Retry-After"]
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 200
    assert ready(client) == (200, [])


def test_it_is_not_ready_before_the_tables_are(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(health, "_missing_migrations", lambda: 3)
        assert ready(client) == (503, ["3 migrations are not applied. Run `manage.py migrate`."])
    assert ready(client) == (200, [])


def test_a_database_that_is_gone_is_told_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> int:
        raise DatabaseError("no route to db.internal for user secret")

    monkeypatch.setattr(health, "_missing_migrations", gone)
    assert ready(client) == (503, ["The database cannot be read now (DatabaseError)."])


@pytest.mark.only("sqlite")
def test_a_disk_that_is_nearly_full_is_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    status, problems = ready(client)
    assert status == 503
    assert "has 1000 bytes left" in problems[0]


def test_who_asks_often_gets_the_same_answer_without_a_write(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(health, "FRESH_S", 60)
    ready(client)
    with django_assert_num_queries(0):
        for _ in range(20):
            assert ready(client) == (200, [])


def test_changing_methods_are_refused(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        for method in ("POST", "PUT", "DELETE"):
            assert client.generic(method, path).status_code == 405


def test_the_figures_tell_how_long_the_logs_are(client: Client, log: Log) -> None:
    log.add(type="a")
    log.add(type="b")
    text = client.get("/metrics").content.decode()
    assert f'evdebug_log_head{{system="{log.line.slug}"}} 2.0' in text


def requests(client: Client, what: str) -> float:
    lines = client.get("/metrics").content.decode().splitlines()
    wanted = f"evdebug_requests_total{{{what}}} "
    return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


def test_requests_are_counted_under_names_we_gave(client: Client) -> None:
    known = 'method="GET",route="signin/<str:token>",status="410"'
    unknown = 'method="other",route="none",status="404"'
    before = requests(client, known), requests(client, unknown)
    for n in range(5):
        client.get(f"/signin/made-up-{n}")
        client.generic(f"MADEUP{n}", f"/made/up/{n}")
    assert requests(client, known) == before[0] + 5
    assert requests(client, unknown) == before[1] + 5
    assert "made-up" not in client.get("/metrics").content.decode()


def test_the_figures_survive_a_database_that_is_gone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise DatabaseError

    monkeypatch.setattr("evdebug.health.log.lines", gone)
    assert "evdebug_requests_total" in client.get("/metrics").content.decode()


FAR: Any = {"REMOTE_ADDR": "10.0.0.9"}


def test_others_need_a_read_key_for_the_figures(client: Client) -> None:
    line = create_system("shop")
    keys = {
        scope: create_key(line.system, scopes=[scope], by=CONSOLE).secret
        for scope in ("ingest", "read", "write")
    }
    answers = {
        scope: client.get("/metrics", headers={"Authorization": f"Bearer {key}"}, **FAR).status_code
        for scope, key in keys.items()
    }
    assert answers == {"ingest": 403, "read": 200, "write": 200}
    assert client.get("/metrics", **FAR).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer x"}, **FAR).status_code == 401


def test_a_session_does_not_open_the_figures_to_others(
    client: Client, admin_client: Client
) -> None:
    assert admin_client.get("/metrics", **FAR).status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_behind_a_proxy_on_this_machine_nobody_is_this_machine(client: Client, header: str) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", headers={header: "10.0.0.9"}).status_code == 401


def test_behind_a_proxy_that_tells_nothing_neither(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evdebug.health.settings.ENV", {"EVDEBUG_TLS": True})
    assert client.get("/metrics").status_code == 401


def test_a_name_of_another_site_gets_none_of_it() -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert Client(headers={"Host": "evil.example"}).get(path).status_code == 400


def test_a_key_sees_the_length_of_its_own_log_alone(client: Client, log: Log) -> None:
    log.add(type="A")
    line = create_system("shop")
    key = create_key(line.system, scopes=["read"], by=CONSOLE).secret
    headers = {"Authorization": f"Bearer {key}"}
    text = client.get("/metrics", headers=headers, **FAR).content.decode()
    assert 'evdebug_log_head{system="shop"} 0.0' in text
    assert log.line.slug not in text


def test_the_figures_of_the_doors_are_there(client: Client) -> None:
    names = {
        line.split("{")[0].split(" ")[0]
        for line in client.get("/metrics").content.decode().splitlines()
    }
    assert names >= {
        "evdebug_queue_events",
        "evdebug_queue_bytes",
        "evdebug_append_seconds_count",
        "evdebug_door_events_total",
    }


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[queue.Writer]:
    """A writer of the test's own, with its thread."""
    made = queue.Writer(max_events=100, max_bytes=1_000_000)
    monkeypatch.setattr(queue, "_current", made)
    monkeypatch.setattr("evdebug.health.queries.health", HEALTH)
    yield made
    made.close(10)


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_when_the_writer_committed_something(
    client: Client, writer: queue.Writer
) -> None:
    assert ready(client) == (200, [])
    assert Heartbeat.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_write_that_waits_too_long_is_a_red_light(client: Client, writer: queue.Writer) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if other.vendor == "sqlite" else "BEGIN")
            if other.vendor == "postgresql":
                cursor.execute("LOCK TABLE access_heartbeat")
            status, problems = ready(client)
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert status == 503
    assert problems[0].startswith("Events cannot be stored: the log ")
    wait_for(lambda: ready(client) == (200, []), "the light to turn green again")
