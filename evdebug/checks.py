"""What `manage.py check`, and every start, says about how evdebug is set up."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.db import connection

from apps.access.address import is_loopback

SQLITE = (3, 35)  # what the log's SQL is written for
KEY = 50  # characters


@register()
def setup(**_: Any) -> list[CheckMessage]:
    """Return what is wrong or could be better, each with what to do about it."""
    return [*_network(), *_secrets(), *_storage(), *_processes()]


def _network() -> Iterator[CheckMessage]:
    host, tls = settings.ENV["EVDEBUG_HOST"], settings.ENV["EVDEBUG_TLS"]
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS holds '*': any web site could act as the pages.",
            hint="Set EVDEBUG_ALLOWED_HOSTS to the names people use for this machine.",
            id="evdebug.E001",
        )
    if is_loopback(host):
        return
    if settings.DEBUG:
        yield Error(
            f"EVDEBUG_DEBUG=1 on {host}: error pages would show source and settings to others.",
            hint="Unset EVDEBUG_DEBUG, or set EVDEBUG_HOST to 127.0.0.1.",
            id="evdebug.E002",
        )
    if not tls:
        yield Warning(
            f"Other machines reach {host} without TLS: passwords and keys can be read on the way.",
            hint="Put a proxy that speaks HTTPS in front, and set EVDEBUG_TLS=1.",
            id="evdebug.W001",
        )


def _secrets() -> Iterator[CheckMessage]:
    if len(settings.SECRET_KEY) < KEY or len(set(settings.SECRET_KEY)) < 5:
        yield Error(
            f"The secret key is shorter than {KEY} characters or nearly all one character.",
            hint="Unset EVDEBUG_SECRET_KEY to have one made, or set it to random characters.",
            id="evdebug.E003",
        )


def _storage() -> Iterator[CheckMessage]:
    try:
        with tempfile.TemporaryFile(dir=settings.DATA_DIR):
            pass
    except OSError as error:
        yield Error(
            f"The folder {settings.DATA_DIR} cannot be written: {error.strerror}.",
            hint="Give this user the right to, or set EVDEBUG_DATA to another folder.",
            id="evdebug.E004",
        )
    if connection.vendor == "sqlite" and sqlite3.sqlite_version_info < SQLITE:
        yield Error(
            f"SQLite is {sqlite3.sqlite_version}; {'.'.join(map(str, SQLITE))} or newer is needed.",
            hint="Use a Python built with a newer SQLite, or set DATABASE_URL to a PostgreSQL.",
            id="evdebug.E005",
        )


def _processes() -> Iterator[CheckMessage]:
    if connection.vendor == "postgresql" and not settings.REDIS_URL:
        yield Info(
            "PostgreSQL without REDIS_URL: right for one web process. Several would not wake each "
            "other when events arrive, and their tasks would end with them.",
            hint="Set REDIS_URL to run more than one process.",
            id="evdebug.I001",
        )
