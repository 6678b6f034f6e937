"""Settings at rest, and as they may be shown."""

from __future__ import annotations

import pytest

from apps.ingest import vault
from apps.ingest.connector import BadSettings, Setting

KEY = "k" * 60
KNOWN = (
    Setting("url", "Address", kind="url", secret=True),
    Setting("password", "Password", secret=True),
    Setting("topics", "Topics"),
)
FULL = {"url": "amqp://me:p%40ss@host:5672/", "password": "canary", "topics": "a,b"}
SHOWN = {"url": "amqp://me:•••@host:5672/", "password": "•••", "topics": "a,b"}


def test_it_works() -> None:
    sealed = vault.seal(KEY, FULL)
    assert b"canary" not in sealed
    assert vault.unseal(KEY, sealed) == FULL
    assert vault.seal(KEY, FULL) != sealed, "equal settings cannot be told by their seal"


@pytest.mark.parametrize("tampered", [b"", b"x" * 200, vault.seal(KEY, FULL)[:-9] + b"AAAAAAAA="])
def test_what_was_sealed_otherwise_is_said_to_be(tampered: bytes) -> None:
    with pytest.raises(BadSettings, match="another secret key"):
        vault.unseal(KEY, tampered)
    with pytest.raises(BadSettings, match="another secret key"):
        vault.unseal("other" * 20, vault.seal(KEY, FULL))


def test_no_secret_is_shown_and_what_was_shown_stays_what_it_was() -> None:
    assert vault.shown(KNOWN, FULL) == SHOWN
    assert vault.kept(KNOWN, SHOWN | {"topics": "c"}, FULL) == FULL | {"topics": "c"}
    assert vault.kept(KNOWN, {"topics": "a,b", "url": SHOWN["url"]}, FULL) == FULL
    assert vault.kept(KNOWN, SHOWN | {"password": "new"}, FULL)["password"] == "new"
    other = SHOWN | {"url": "amqp://me:other@host:5672/"}
    assert vault.kept(KNOWN, other, FULL)["url"] == "amqp://me:other@host:5672/"


def test_every_secret_is_looked_for_in_messages_as_it_may_be_written() -> None:
    assert set(vault.secrets_in(KNOWN, FULL)) == {"p%40ss", "p@ss", "canary"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no redis://u:p@h:1/0 here", "no redis://u:•••@h:1/0 here"),
        ("redis://:p@h", "redis://:•••@h"),
        ("http://h/?token=abc&x=1", "http://h/?token=•••&x=1"),
        ("password=abc", "password=•••"),
        ("http://h:80/a", "http://h:80/a"),
    ],
)
def test_addresses_in_words(text: str, expected: str) -> None:
    assert vault.without_password(text) == expected
