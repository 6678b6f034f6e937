"""The servers and the browser tests need: found or started here, stopped at the end.

A server started here listens on loopback alone, on a free port, keeps its files in a temporary
folder and dies with the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

START_S = 60
CHROMIUM_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Missing(Exception):
    """This machine lacks a server or browser; the text says which and what was looked for."""


def required() -> bool:
    """Return whether a missing service is a failure rather than a reason to skip."""
    return os.environ.get("EVDEBUG_REQUIRE_SERVICES") == "1"


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `ready`; RuntimeError with the end of `log` when that does not come."""
    deadline = time.monotonic() + START_S
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            process.kill()
            said = log.read_text(errors="replace")[-4000:] if log.exists() else ""
            how = f"ended with {process.returncode}" if ended else f"is not ready after {START_S} s"
            raise RuntimeError(f"{process.args!r} {how}:\n{said}")
        time.sleep(0.02)


def wait_for(done: Callable[[], bool], what: str) -> None:
    """Return once `done`; AssertionError naming `what` was waited for when that does not come."""
    deadline = time.monotonic() + START_S
    while not done():
        assert time.monotonic() < deadline, f"waited {START_S} s for {what}"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Return whether somebody listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def die_with_parent() -> None:
    """Have the kernel stop this child when its parent is gone, SIGKILL of the parent included.

    And let ctrl-C mean what it does: a shell has what it starts with & ignore SIGINT, for good.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGTERM)


_LIBC = ctypes.CDLL(None)


@dataclass
class PostgreSQL:
    """A PostgreSQL server of our own, in a temporary folder.

    `durable` False turns fsync off: nobody pulls the plug on ordinary tests.
    """

    folder: Path
    durable: bool = False
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=secrets.token_hex)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/evdebug"

    def create(self) -> None:
        """Make the cluster and the empty database `evdebug`, and start the server."""
        self.folder.mkdir(exist_ok=True)
        words = self.folder / "password"
        words.write_text(self.password)
        for path in (self.folder, words):
            path.chmod(0o700)
            if (owner := _owner()) is not None:
                shutil.chown(path, owner)
        made = self._command(
            "initdb", "--no-sync", "--username=postgres", f"--pwfile={words}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={self._data}",
        )  # fmt: skip
        done = subprocess.run(
            made, **_as_owner(), cwd=self.folder, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb ended with {done.returncode}: {done.stderr.decode()}")
        self.start()
        self.make_database("evdebug")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(_postgresql_programs() / program), *arguments]

    def start(self) -> None:
        """Start the server on its port and return once it takes connections."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "256MB",
            "wal_level": "logical",  # for taps by a slot, which must not fill the disk either
            "max_slot_wal_keep_size": "256MB",
        } | ({} if self.durable else {"fsync": "off", "full_page_writes": "off"})
        options = [f"--{name}={value}" for name, value in settings.items()]
        log = self.folder.parent / f"{self.folder.name}.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data), *options),
                **_as_owner(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        wait_until(self._answers, self.process, log)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(_database(self.url, "postgres"), connect_timeout=2).close()
            return True
        return False

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        return make_database(self.url, name)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT cleanly, SIGQUIT as a crash. May be called twice."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_S)
            self.process = None


def make_database(url: str, name: str) -> str:
    """Make an empty database on the server of `url` and return its own URL."""
    with psycopg.connect(_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return _database(url, name)


def drop_database(url: str, name: str) -> None:
    """Drop a database of the server of `url`, whoever is still connected to it."""
    with psycopg.connect(_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _owner() -> str | None:
    """Return who must own a cluster: `postgres` where we are root, whom the server refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Missing("PostgreSQL refuses to run as root, and there is no user postgres or nobody.")


def _postgresql_programs() -> Path:
    places = sorted(
        Path("/usr/lib/postgresql").glob("[0-9]*/bin"),
        key=lambda path: float(path.parent.name),
        reverse=True,
    )
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve().parent)
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise Missing(
        "There is no PostgreSQL server: no initdb in /usr/lib/postgresql/*/bin or on PATH "
        "(Debian: apt-get install postgresql)."
    )


def _as_owner() -> dict[str, Any]:
    owner = _owner()
    return {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []} if owner else {}


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[PostgreSQL]:
    """Start a PostgreSQL server; `durable` for tests that kill things.  raises  Missing"""
    _postgresql_programs()
    with _folder() as folder:
        server = PostgreSQL(folder / "postgresql", durable=durable)
        try:
            server.create()
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@contextmanager
def redis() -> Iterator[str]:
    """Start a Redis server that keeps nothing, and give its URL.  raises  Missing"""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing(
            "There is no Redis server: no redis-server on PATH "
            "(Debian: apt-get install redis-server)."
        )
    with _folder() as folder:
        port = free_port()
        log = folder / "log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                 "no", "--dir", str(folder)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            wait_until(lambda: _pongs(port), process, log)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(START_S)


def _pongs(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=2) as connection,
    ):
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
    return False


def chromium() -> str:
    """Return the path of a Chromium or Chrome.  raises  Missing"""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    raise Missing("There is no Chromium on PATH (Debian: apt-get install chromium).")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="evdebug-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # the server's own user must get to its folder in it
        yield Path(name)
