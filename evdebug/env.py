"""Settings from the environment, read once. Nonsense stops the start with name, value and remedy.

`VARIABLES` is the whole list; the README's table is checked against it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.access import outbound

ROOT = Path(__file__).resolve().parent.parent


class BadSetting(SystemExit):
    """An environment variable cannot be used; the process ends with exit code 2."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(2)
        self.text = f"{name} is {value!r}; expected {expected}. Change it and start again."

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Variable:
    """One setting: how it is read, what it is when absent, and what it does."""

    name: str
    default: str
    expected: str
    parse: Callable[[str], Any]
    help: str


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
        value.lower()
    ]


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _size(value: str) -> int:
    found = re.fullmatch(r"(\d+) ?(|KiB|MiB|GiB)", value)
    if not found or not int(found[1]):
        raise ValueError
    return int(found[1]) << 10 * ["", "KiB", "MiB", "GiB"].index(found[2])


def _limit(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError
    return number


def _port(value: str) -> int:
    number = int(value)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def _names(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _hosts(value: str) -> tuple[str, ...]:
    """Refuse '*': it would let any web site that resolves to this machine act as its pages."""
    names = _names(value)
    if "*" in names:
        raise ValueError
    return names


def _reach(value: str) -> tuple[str, ...]:
    words = _names(value)
    outbound.parse(words, local=False)
    return words


def _modules(value: str) -> tuple[str, ...]:
    names = _names(value)
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError
    return names


def _secret(value: str) -> str:
    if value and len(value) < 50:
        raise ValueError
    return value


def _folder(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _level(value: str) -> str:
    return {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR"}[value.lower()]


def _database(value: str) -> dict[str, Any]:
    return database(value)


def _redis(value: str) -> str:
    if value and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError
    return value


FLAG = "1 or 0"
SIZE = "a size in bytes, or with KiB, MiB or GiB"
COUNT = "a whole number above 0"

VARIABLES = (
    Variable("DATABASE_URL", "", "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME",
             _database, "The database of the log; SQLite in `EVDEBUG_DATA` when empty."),
    Variable("REDIS_URL", "", "redis://HOST:PORT/DB", _redis,
             "Redis for sockets and tasks across processes; in-process when empty."),
    Variable("EVDEBUG_DATA", "data", "a folder", _folder,
             "Folder for the SQLite log and the secret key."),
    Variable("EVDEBUG_CODE", "", "names of modules separated by commas, such as shop.reducers",
             _modules,
             "Modules with reducers, upcasters and handlers; they run in a process of their own."),
    Variable("EVDEBUG_CODE_UNCONFINED", "0", FLAG, _flag,
             "1 lets sandboxes run other modules and revisions where the platform cannot confine"
             " them."),
    Variable("EVDEBUG_HOST", "127.0.0.1", "an address", _text, "Address `up` listens on."),
    Variable("EVDEBUG_PORT", "8000", "a port, 0 to 65535", _port, "Port `up` listens on."),
    Variable("EVDEBUG_ALLOWED_HOSTS", "", "host names separated by commas, not '*'", _hosts,
             "Names the pages may be reached under, besides this machine's own."),
    Variable("EVDEBUG_REACH", "", "names, addresses or networks separated by commas", _reach,
             "Where taps and targets may connect to, such as `kafka.example.com,10.0.0.0/8`; this "
             "machine only when empty, and only while nobody else reaches evdebug."),
    Variable("EVDEBUG_SECRET_KEY", "", "a text of 50 characters or more", _secret,
             "Signs sessions and links; made and kept in `EVDEBUG_DATA` when empty."),
    Variable("EVDEBUG_TLS", "0", FLAG, _flag,
             "1 behind a proxy that speaks HTTPS: cookies are marked secure and the proxy's "
             "`X-Forwarded-Proto` is believed."),
    Variable("EVDEBUG_DEBUG", "0", FLAG, _flag,
             "1 shows Django's error pages; never on a network."),
    Variable("EVDEBUG_LOG_LEVEL", "info", "debug, info, warning or error", _level,
             "How much is logged to stderr."),
    Variable("EVDEBUG_MAX_BODY", "32 MiB", SIZE, _size,
             "Most a request may hold, decompressed; NDJSON is a stream and not bound by it."),
    Variable("EVDEBUG_MAX_EVENT", "16 MiB", SIZE, _size, "Most one event or line may hold."),
    Variable("EVDEBUG_MAX_BATCH", "10000", COUNT, _count, "Most events in one batch request."),
    Variable("EVDEBUG_QUEUE_EVENTS", "50000", COUNT, _count,
             "Most events waiting to be written; more are answered with 429."),
    Variable("EVDEBUG_QUEUE_BYTES", "128 MiB", SIZE, _size,
             "Most bytes waiting to be written; more are answered with 429."),
    Variable("EVDEBUG_KEY_RATE", "0", "a whole number, 0 for no limit", _limit,
             "Most requests a second of one key at the doors; more are answered with 429."),
    Variable("EVDEBUG_USER_SOCKETS", "100", COUNT, _count,
             "Most sockets one person or key may have open in a process."),
    Variable("EVDEBUG_SANDBOX_EVENTS", "200000", COUNT, _count,
             "Most entries of the log one run of a sandbox replays."),
    Variable("EVDEBUG_FIND_WAIT_MS", "400", "a whole number of milliseconds, 0 or more", _limit,
             "How long a page waits for a search before it shows how far that is."),
    Variable("EVDEBUG_SESSION_DAYS", "14", COUNT, _count, "Days a sign-in lasts."),
    Variable("EVDEBUG_IDLE_HOURS", "72", COUNT, _count,
             "Hours after which a sign-in nobody uses ends."),
)  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """The settings as read. `values` maps each variable's name to its parsed value."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return every setting, parsed.

    raises  BadSetting for a value that cannot be used and for an EVDEBUG_ name nobody reads
    """
    tests = {"EVDEBUG_REQUIRE_SERVICES", "EVDEBUG_FAILPOINT"}  # of no use to anybody else
    known = {variable.name for variable in VARIABLES} | tests
    for name, value in environ.items():
        if name.startswith("EVDEBUG_") and name not in known:
            near = ", ".join(sorted(known))
            raise BadSetting(name, value, f"no such setting; there are {near}")
    values = {}
    for variable in VARIABLES:
        value = environ.get(variable.name) or variable.default
        try:
            values[variable.name] = variable.parse(value)
        except (ValueError, KeyError) as error:
            raise BadSetting(variable.name, _shown(variable, value), variable.expected) from error
    return Environment(values)


def secret_key(settings: Environment) -> str:
    """Return the key that signs sessions: as set, or made at the first start and kept.

    raises  BadSetting for a data folder that cannot be written
    """
    if settings["EVDEBUG_SECRET_KEY"]:
        return str(settings["EVDEBUG_SECRET_KEY"])
    folder: Path = settings["EVDEBUG_DATA"]
    path = folder / "secret-key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _keep(path, secrets.token_urlsafe(64))
        return path.read_text()
    except OSError as error:
        raise BadSetting(
            "EVDEBUG_DATA", str(folder), f"a folder evdebug may write to ({error.strerror})"
        ) from error


def _keep(path: Path, text: str) -> None:
    """Write a file for the owner alone; where another process was quicker, its file stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    # Linked into place, so that no process ever reads half a key.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _shown(variable: Variable, value: str) -> str:
    """Return a value as a message may show it: without a secret or a password in an address."""
    if variable.parse is _secret:
        return f"{len(value)} characters"
    return re.sub(r"//[^/@]*@", "//…@", value)


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for a database URL; {} for an empty one.

    raises  ValueError for a scheme other than sqlite and postgresql, or without a name
    """
    if not url:
        return {}
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        if not parts.path.strip("/"):
            raise ValueError
        return sqlite(Path(unquote(parts.path[1:] if parts.path.startswith("//") else parts.path)))
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise ValueError
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        # A server that is gone without a word must not hold a request for minutes.
        "OPTIONS": {"connect_timeout": 5, "tcp_user_timeout": 30_000}
        | dict(parse_qsl(parts.query)),
    }


def sqlite(path: Path) -> dict[str, Any]:
    """Return Django's settings for a SQLite file, durable and safe for concurrent writers.

    FULL because in WAL mode NORMAL answers before the disk has the commit; IMMEDIATE because a
    transaction that starts reading and then writes fails when another wrote in between.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA page_size=4096;PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
                "PRAGMA cache_size=-65536;PRAGMA temp_store=MEMORY;"
                "PRAGMA journal_size_limit=268435456;PRAGMA wal_autocheckpoint=32000"
            ),
        },
    }
