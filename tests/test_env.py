from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evdebug import env
from evdebug.env import VARIABLES, BadSetting, read


def test_it_works() -> None:
    settings = read({"EVDEBUG_PORT": "9000", "EVDEBUG_MAX_EVENT": "2 MiB", "PATH": "/bin"})
    assert settings["EVDEBUG_PORT"] == 9000
    assert settings["EVDEBUG_MAX_EVENT"] == 2 * 1024 * 1024


def test_nothing_set_gives_the_defaults_and_an_empty_value_too() -> None:
    assert read({}).values == read({variable.name: "" for variable in VARIABLES}).values
    assert set(read({}).values) == {variable.name for variable in VARIABLES}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVDEBUG_PORT", "http"),
        ("EVDEBUG_PORT", "65536"),
        ("EVDEBUG_PORT", "-1"),
        ("EVDEBUG_PORT", "80.0"),
        ("EVDEBUG_MAX_BODY", "0"),
        ("EVDEBUG_MAX_BODY", "-5"),
        ("EVDEBUG_MAX_BODY", "5 MB"),
        ("EVDEBUG_MAX_BODY", "1e9"),
        ("EVDEBUG_MAX_BATCH", "0"),
        ("EVDEBUG_KEY_RATE", "-1"),
        ("EVDEBUG_KEY_RATE", "many"),
        ("EVDEBUG_SESSION_DAYS", "∞"),
        ("EVDEBUG_IDLE_HOURS", "0"),
        ("EVDEBUG_DEBUG", "maybe"),
        ("EVDEBUG_TLS", "2"),
        ("EVDEBUG_LOG_LEVEL", "loud"),
        ("EVDEBUG_ALLOWED_HOSTS", "*"),
        ("EVDEBUG_ALLOWED_HOSTS", "ev.example, *"),
        ("EVDEBUG_SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_URL", "postgresql://localhost"),
        ("DATABASE_URL", "postgresql://localhost:port/x"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "localhost:6379"),
    ],
)
def test_nonsense_is_refused_with_name_value_and_what_is_expected(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read({name: value})
    expected = next(variable.expected for variable in VARIABLES if variable.name == name)
    assert str(caught.value).startswith(f"{name} is ")
    assert expected in str(caught.value)
    assert name == "EVDEBUG_SECRET_KEY" or value in str(caught.value)
    assert caught.value.code == 2


def test_a_misspelt_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadSetting, match=r"EVDEBUG_PROT is '1'; .*EVDEBUG_PORT"):
        read({"EVDEBUG_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVDEBUG_SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://user:hunter2@localhost/x"),
        ("REDIS_URL", "http://:hunter2@localhost"),
    ],
)
def test_a_message_tells_no_secret(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read({name: value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "bytes_"), [("1", 1), ("10 KiB", 10_240), ("1MiB", 1 << 20), ("3 GiB", 3 << 30)]
)
def test_sizes(value: str, bytes_: int) -> None:
    assert read({"EVDEBUG_MAX_BODY": value})["EVDEBUG_MAX_BODY"] == bytes_


def test_a_postgresql_address_is_taken_apart() -> None:
    made = env.database("postgresql://u%40x:p%2Fw@db:5433/name?sslmode=require")
    assert made["ENGINE"] == "django.db.backends.postgresql"
    named = {name: made[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    assert named == {
        "NAME": "name",
        "USER": "u@x",
        "PASSWORD": "p/w",
        "HOST": "db",
        "PORT": "5433",
    }
    assert made["OPTIONS"]["sslmode"] == "require"


def test_a_sqlite_address_names_a_file() -> None:
    assert env.database("sqlite:////var/lib/log.sqlite3")["NAME"] == "/var/lib/log.sqlite3"
    assert env.database("sqlite:///var/lib/my%20log")["NAME"] == "/var/lib/my log"


def test_every_setting_says_what_it_does() -> None:
    for variable in VARIABLES:
        assert variable.help.endswith(".")
        assert variable.expected


def test_nonsense_stops_the_start_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "evdebug.settings",
        "EVDEBUG_DATA": str(tmp_path),
        "EVDEBUG_PORT": "eighty",
    }
    run = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=env.ROOT, env=environ, capture_output=True
    )
    assert run.returncode == 2
    assert run.stdout == b""
    assert run.stderr.decode() == (
        "EVDEBUG_PORT is 'eighty'; expected a port, 0 to 65535. Change it and start again.\n"
    )


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = read({"EVDEBUG_DATA": str(tmp_path / "file" / "data")})
    with pytest.raises(BadSetting, match=r"EVDEBUG_DATA is .*file/data.*Not a directory"):
        env.secret_key(settings)


def test_the_secret_key_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("EVDEBUG_")}
    environ["EVDEBUG_DATA"] = str(tmp_path / "data")
    command = [sys.executable, "-c", "from evdebug import settings; print(settings.SECRET_KEY)"]
    first, second = (
        subprocess.run(command, cwd=env.ROOT, env=environ, capture_output=True, check=True).stdout
        for _ in range(2)
    )
    path = tmp_path / "data" / "secret-key"
    assert first == second
    assert first.decode().strip() == path.read_text()
    assert len(path.read_text()) >= 50
    assert path.stat().st_mode & 0o777 == 0o600
