from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from apps.access import tokens
from apps.access.actor import CONSOLE, Actor
from apps.access.commands.keys import create_key, renew_key, revoke_key
from apps.access.errors import BadKey, NotVisible, Refused, WrongScope
from apps.access.models import ApiKey, User
from apps.access.queries import keys
from apps.access.queries.keys import KeyGrant, authenticate
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.models import System
from apps.eventlog.places import Line
from tests.access.conftest import key_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the key cache believes in."""
    now = [1000.0]
    monkeypatch.setattr("apps.access.queries.keys.time.monotonic", lambda: now[0])
    return now


def test_it_works(shop: Line) -> None:
    key = create_key(shop.system, scopes=["ingest"], by=CONSOLE, name="web")
    assert authenticate(key.secret, scope="ingest") == KeyGrant(
        key.id, "shop", shop.timeline, frozenset({"ingest"}), shop.system, "web"
    )


def test_it_keeps_no_secret(shop: Line) -> None:
    secret = key_of(shop, "ingest")
    row = ApiKey.objects.get()
    assert row.prefix == secret[:12]
    kept = " ".join(str(value) for value in ApiKey.objects.values().get().values())
    assert secret[12:] not in kept


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["ingest"], "ingest"),
        (["read"], "read"),
        (["write"], "read write"),
        (["ingest", "read"], "ingest read"),
    ],
)
def test_scopes_open_what_they_include_and_nothing_else(
    shop: Line, scopes: list[str], allowed: str
) -> None:
    secret = key_of(shop, *scopes)
    for scope in ("ingest", "read", "write"):
        if scope in allowed.split():
            assert authenticate(secret, scope=scope).system == "shop"
        else:
            with pytest.raises(WrongScope, match=scope):
                authenticate(secret, scope=scope)


def test_what_is_no_key_never_reaches_the_database(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        for text in ("", "evk_", "hunter2", "evk_" + "\x00" * 43, "evk_" + "é" * 43):
            with pytest.raises(BadKey):
                authenticate(text, scope="read")


def test_an_unknown_key_is_refused_even_with_a_known_beginning(shop: Line) -> None:
    secret = key_of(shop, "read")
    other = secret[:12] + tokens.new_key()[12:]
    with pytest.raises(BadKey):
        authenticate(other, scope="read")
    assert authenticate(secret, scope="read")


def test_two_keys_with_one_beginning_are_told_apart(
    shop: Line, bank: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(["evk_aaaaaaaa" + "b" * 35, "evk_aaaaaaaa" + "c" * 35])
    monkeypatch.setattr(tokens, "new_key", lambda: next(made))
    first, second = key_of(shop, "read"), key_of(bank, "read")
    assert authenticate(first, scope="read").system == "shop"
    assert authenticate(second, scope="read").system == "bank"


def test_it_asks_the_database_once_in_a_while(
    shop: Line, clock: list[float], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    secret = key_of(shop, "read")
    authenticate(secret, scope="read")
    with django_assert_num_queries(0):
        for _ in range(50):
            authenticate(secret, scope="read")
            assert keys.recall(secret, scope="read")


def test_recall_never_asks_the_database(
    shop: Line, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    secret = key_of(shop, "read")
    with django_assert_num_queries(0):
        assert keys.recall(secret, scope="read") is None
        with pytest.raises(BadKey):
            keys.recall("garbage", scope="read")
    authenticate(secret, scope="read")
    with pytest.raises(WrongScope):
        keys.recall(secret, scope="ingest")


def test_revoking_is_seen_here_at_once(
    shop: Line, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    authenticate(key.secret, scope="read")
    with django_capture_on_commit_callbacks(execute=True):
        revoke_key(key.id, by=CONSOLE)
    with pytest.raises(BadKey):
        authenticate(key.secret, scope="read")


def test_revoking_elsewhere_is_seen_within_five_seconds(shop: Line, clock: list[float]) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    authenticate(key.secret, scope="read")
    ApiKey.objects.update(revoked_at=datetime.now(UTC))  # another process would do no more here
    clock[0] += 4.9
    with pytest.raises(BadKey):
        authenticate(key.secret, scope="read")


def test_using_a_key_does_not_prolong_the_memory_of_it(shop: Line, clock: list[float]) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    authenticate(key.secret, scope="read")
    ApiKey.objects.update(revoked_at=datetime.now(UTC))
    for _ in range(49):
        clock[0] += 0.1
        try:
            authenticate(key.secret, scope="read")
        except BadKey:
            return
    pytest.fail("a revoked key worked for 4.9 s")


def test_an_expired_key_is_refused_even_while_remembered(shop: Line) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = create_key(shop.system, scopes=["read"], by=CONSOLE, expires_at=soon)
    authenticate(key.secret, scope="read")
    digest = tokens.digest(key.secret)
    past = datetime.now(UTC) - timedelta(seconds=1)
    keys._known[digest] = keys._known[digest]._replace(expires_at=past)
    with pytest.raises(BadKey):
        authenticate(key.secret, scope="read")


def test_a_key_of_a_system_that_is_gone_opens_nothing(shop: Line) -> None:
    secret = key_of(shop, "read")
    System.objects.all().delete()
    with pytest.raises(BadKey):
        authenticate(secret, scope="read")


def test_guesses_do_not_fill_the_memory(shop: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CAPACITY", 10)
    for _ in range(35):
        with pytest.raises(BadKey):
            authenticate(tokens.new_key(), scope="read")
    assert len(keys._known) <= 10


def test_a_database_that_is_gone_is_no_bad_key(shop: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise DatabaseError

    secret = key_of(shop, "read")
    monkeypatch.setattr("apps.access.queries.keys.log.lines", gone)
    with pytest.raises(LogUnavailable):
        authenticate(secret, scope="read")


def test_the_last_use_is_written_once_a_minute(
    shop: Line, clock: list[float], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    secret = key_of(shop, "read")
    authenticate(secret, scope="read")
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    clock[0] += 10
    with django_assert_num_queries(2):  # the key and the systems, no write
        authenticate(secret, scope="read")
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    clock[0] += 10
    authenticate(secret, scope="read")
    assert (ApiKey.objects.get().last_used_at or first) - first > timedelta(seconds=-1)


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_the_last_use_is_written_by_another_thread(
    shop: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []

    class Thread:
        def __init__(self, **options: Any) -> None:
            started.append(options)

        def start(self) -> None: ...

    assert not connection.in_atomic_block
    monkeypatch.setattr("apps.access.queries.keys.threading.Thread", Thread)
    authenticate(key_of(shop, "read"), scope="read")
    authenticate(key_of(shop, "read"), scope="read")  # the first is still at it: left for later
    assert len(started) == 1
    assert started[0]["daemon"]
    started[0]["target"](*started[0]["args"])
    assert ApiKey.objects.exclude(last_used_at=None).count() == 1
    assert not keys._touching.locked()


def test_who_made_it_is_remembered(admin: User, shop: Line) -> None:
    create_key(shop.system, scopes=["read"], by=Actor("ada", admin.pk))
    assert [key.created_by for key in keys.keys_of(shop.system)] == [admin]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"scopes": ["admin"]},
        {"scopes": ["read", "READ"]},
        {"name": "n" * 101},
        {"name": "two\nlines"},
        {"name": "nul\x00"},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_it_refuses(shop: Line, wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        create_key(shop.system, **{"scopes": ["read"], "by": CONSOLE, **wrong})
    assert not ApiKey.objects.exists()


def test_a_foreign_key_cannot_be_revoked(shop: Line, bank: Line) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    for number, system in ((key.id, bank.system), (key.id + 99, None)):
        with pytest.raises(NotVisible):
            revoke_key(number, by=CONSOLE, system_id=system)
    assert authenticate(key.secret, scope="read")


def test_a_renewed_key_has_another_secret(
    shop: Line, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE, name="web")
    authenticate(key.secret, scope="read")
    with django_capture_on_commit_callbacks(execute=True):
        new = renew_key(key.id, by=CONSOLE)
    assert new.id == key.id
    assert authenticate(new.secret, scope="read").name == "web"
    with pytest.raises(BadKey):
        authenticate(key.secret, scope="read")


def test_a_revoked_key_is_not_brought_back_by_renewing_it(shop: Line) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    revoke_key(key.id, by=CONSOLE)
    for number in (key.id, key.id + 99):
        with pytest.raises(NotVisible):
            renew_key(number, by=CONSOLE)


def test_revoking_twice_changes_nothing(shop: Line) -> None:
    key = create_key(shop.system, scopes=["read"], by=CONSOLE)
    revoke_key(key.id, by=CONSOLE)
    first = ApiKey.objects.get().revoked_at
    revoke_key(key.id, by=CONSOLE)
    assert ApiKey.objects.get().revoked_at == first
