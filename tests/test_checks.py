from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import LazySettings

from evdebug.checks import setup

OWN = "evdebug."
CONNECTION = "evdebug.checks.connection"


@pytest.fixture
def sound(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazySettings:
    """Settings nothing is wrong with, whatever database these tests run on."""
    settings.ENV = {"EVDEBUG_HOST": "127.0.0.1", "EVDEBUG_TLS": False}
    settings.SECRET_KEY = "abcdefghij" * 6
    settings.DATA_DIR = tmp_path
    settings.REDIS_URL = ""
    monkeypatch.setattr(CONNECTION, SimpleNamespace(vendor="sqlite"))
    return settings


def found() -> list[str]:
    return [str(message.id).removeprefix(OWN) for message in setup()]


def test_it_finds_nothing_where_nothing_is_wrong(sound: LazySettings) -> None:
    assert found() == []


def test_other_machines_and_no_tls(sound: LazySettings) -> None:
    sound.ENV = {"EVDEBUG_HOST": "0.0.0.0", "EVDEBUG_TLS": False}
    assert found() == ["W001"]
    sound.ENV = {"EVDEBUG_HOST": "0.0.0.0", "EVDEBUG_TLS": True}
    assert found() == []


def test_debug_on_a_network(sound: LazySettings) -> None:
    sound.DEBUG = True
    assert found() == []
    sound.ENV = {"EVDEBUG_HOST": "10.0.0.1", "EVDEBUG_TLS": True}
    assert found() == ["E002"]


def test_any_host(sound: LazySettings) -> None:
    sound.ALLOWED_HOSTS = ["localhost", "*"]
    assert found() == ["E001"]


@pytest.mark.parametrize("key", ["hunter2", "x" * 200])
def test_a_weak_secret_key(sound: LazySettings, key: str) -> None:
    sound.SECRET_KEY = key
    assert found() == ["E003"]
    assert key not in str(setup())


def test_a_folder_that_cannot_be_written(sound: LazySettings, tmp_path: Path) -> None:
    sound.DATA_DIR = tmp_path / "gone"
    assert found() == ["E004"]
    assert str(tmp_path / "gone") in setup()[0].msg


def test_an_old_sqlite(sound: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert found() == ["E005"]
    monkeypatch.setattr(CONNECTION, SimpleNamespace(vendor="postgresql"))
    sound.REDIS_URL = "redis://localhost"
    assert found() == []


def test_several_processes_want_redis(sound: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONNECTION, SimpleNamespace(vendor="postgresql"))
    assert found() == ["I001"]


def test_every_message_says_what_to_do(
    sound: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound.ENV = {"EVDEBUG_HOST": "0.0.0.0", "EVDEBUG_TLS": False}
    sound.DEBUG, sound.ALLOWED_HOSTS, sound.SECRET_KEY = True, ["*"], "x"
    sound.DATA_DIR = tmp_path / "gone"
    monkeypatch.setattr(CONNECTION, SimpleNamespace(vendor="postgresql"))
    assert len(found()) == 6
    assert all(message.hint for message in setup())
