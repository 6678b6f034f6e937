"""The commands as a shell sees them: what is on stdout, and the exit code."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.access.actor import CONSOLE
from apps.access.address import keep_listening
from apps.access.commands.keys import create_key
from apps.access.commands.people import set_active
from apps.access.errors import BadKey
from apps.access.models import ApiKey, User
from apps.access.queries import keys
from apps.eventlog.places import Line

pytestmark = pytest.mark.django_db


def run(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as caught:
        run(*words)
    assert caught.value.returncode == 2
    return str(caught.value)


def test_a_system_is_made_and_listed() -> None:
    assert run("system", "create", "shop") == ("shop\n", "")
    made = json.loads(run("system", "create", "bank", "--name", "The bank", "--json")[0])
    assert made == {"id": made["id"], "slug": "bank", "name": "The bank"}
    assert run("system", "list")[0] == "bank\t0\tThe bank\nshop\t0\t\n"
    rows = json.loads(run("system", "list", "--json")[0])
    assert [(row["slug"], row["head"]) for row in rows] == [("bank", 0), ("shop", 0)]


@pytest.mark.parametrize("slug", ["", "Shop", "a b", "_x", "é", "x" * 64, "api", "../x", "x\n"])
def test_a_system_cannot_have_just_any_name(slug: str) -> None:
    assert repr(slug) in refused("system", "create", slug)
    assert run("system", "list") == ("", "")


def test_a_name_that_is_taken_is_refused(shop: Line) -> None:
    assert "There is a system 'shop' already" in refused("system", "create", "shop")


def test_a_key_is_printed_alone_and_once(shop: Line) -> None:
    out, err = run("key", "create", "shop", "--scope", "ingest")
    assert keys.authenticate(out.strip(), scope="ingest").system == "shop"
    assert out == out.strip() + "\n"
    assert out.strip() not in err
    assert out.strip() not in run("key", "list", "shop")[0]


def test_a_key_as_json_may_have_several_scopes_a_name_and_an_end(shop: Line) -> None:
    more = ["--days", "7", "--name", "night job", "--json"]
    made = json.loads(
        run("key", "create", "shop", "--scope", "read", "--scope", "ingest", *more)[0]
    )
    assert set(made) == {"id", "key"}
    row = json.loads(run("key", "list", "shop", "--json")[0])[0]
    assert (row["id"], row["name"], row["scopes"]) == (made["id"], "night job", ["ingest", "read"])
    assert row["prefix"] == made["key"][:12]
    assert row["expires_at"] > row["created_at"]
    assert row["last_used_at"] is None


def test_keys_are_listed_with_their_standing(shop: Line) -> None:
    first = create_key(shop.system, scopes=["read"], by=CONSOLE, name="one")
    keys.authenticate(first.secret, scope="read")
    run("key", "create", "shop", "--scope", "write", "--days", "1")
    run("key", "revoke", str(first.id))
    newest, oldest = (line.split("\t") for line in run("key", "list", "shop")[0].splitlines())
    assert newest[2:5] == ["write", "write", "never used"]
    assert newest[5].startswith("valid until ")
    assert oldest[:4] == [str(first.id), first.secret[:12] + "…", "read", "one"]
    assert oldest[4].startswith("used 2")
    assert oldest[5].startswith("revoked 2")


def test_a_revoked_key_opens_nothing(
    shop: Line, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    secret = run("key", "create", "shop", "--scope", "read")[0].strip()
    keys.authenticate(secret, scope="read")
    with django_capture_on_commit_callbacks(execute=True):
        out, err = run("key", "revoke", str(ApiKey.objects.get().pk))
    assert out == ""
    assert "is revoked" in err
    with pytest.raises(BadKey):
        keys.authenticate(secret, scope="read")


@pytest.mark.parametrize(
    "words",
    [
        "system",
        "system destroy shop",
        "system create",
        "key",
        "key create shop",
        "key create shop --scope admin",
        "key create shop --scope read --days soon",
        "key create shop --scope read --days 0",
        "key create shop --scope read --days -1",
        "key create shop --scope read --days 99999999999",
        "key create nowhere --scope read",
        "key list",
        "key list nowhere",
        "key revoke one",
        "key revoke 12345",
        "signin nobody",
        "signin --port many",
    ],
)
def test_what_cannot_be_done_says_so(shop: Line, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(*words.split())
    # argparse itself exits with 2 when called from a shell; below `call_command` it raises
    assert caught.value.returncode == 2 or "Error" in str(caught.value)
    assert not ApiKey.objects.exists()


def test_a_link_signs_in(anywhere: User) -> None:
    out, err = run("signin", "root", "--port", "8123")
    assert out.startswith("http://127.0.0.1:8123/signin/")
    client = Client()
    client.get(out.strip().removeprefix("http://127.0.0.1:8123"))
    assert client.session["_auth_user_id"] == str(anywhere.pk)
    assert "root" in err
    made = json.loads(run("signin", "root", "--host", "::1", "--json")[0])
    assert made["link"].startswith("http://[::1]:8000/signin/")
    assert made["user"] == "root"


def test_a_link_leads_to_where_it_listened_last(
    anywhere: User, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    keep_listening(tmp_path, "127.0.0.1", 8300)
    assert run("signin", "root")[0].startswith("http://127.0.0.1:8300/signin/")
    assert run("signin", "root", "--port", "1")[0].startswith("http://127.0.0.1:1/signin/")


def test_nobody_is_signed_in_by_a_link_that_cannot_be(viewer: User) -> None:
    assert "no user 'admin'" in refused("signin")
    set_active(viewer, False, by=CONSOLE)
    assert "locked out" in refused("signin", "vera")
