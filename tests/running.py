"""A real evdebug in processes of its own, as a user would start it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.services import die_with_parent, free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
STOP_S = 30


@dataclass
class Evdebug:
    """`manage.py up` on a free port, with a folder and a database of its own.

    It may be stopped or killed, and started again on what it left behind.
    """

    folder: Path
    database_url: str = ""  # SQLite in `folder` when empty
    settings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _provision: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What `up` wrote to stderr."""
        return self.folder / "stderr"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of this evdebug: nothing of the tests' own."""
        ours = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ours and not name.startswith(("EVDEBUG_", "PYTEST_", "COV_"))
        }
        return kept | {
            "EVDEBUG_DATA": str(self.folder / "data"),
            "EVDEBUG_HOST": "127.0.0.1",
            "EVDEBUG_PORT": str(self.port),
            "DATABASE_URL": self.database_url,
        } | self.settings  # fmt: skip

    def __enter__(self) -> Evdebug:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return once it can store events."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as err, (self.folder / "stdout").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *self.arguments],
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        wait_until(self.is_ready, self.process, self.log)

    def is_ready(self) -> bool:
        """Return whether /readyz says that events can be stored."""
        try:
            with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # an HTTP status of 400 or more included
            return False

    def stop(self, *, timeout_s: float = STOP_S) -> int | None:
        """Stop it as ctrl-C does and return its exit code; None when it was not running.

        raises  subprocess.TimeoutExpired when it does not go, after killing it
        """
        self.forget_provision()
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.process = None

    def kill(self) -> None:
        """Kill it and all its children at once, as a crash would. May be called twice."""
        self.forget_provision()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def manage(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        """Run a `manage.py` command and return what it printed; AssertionError for another code."""
        return self._python("manage.py", *words, stdin=stdin, code=code)

    def _python(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT, env=self._own(), input=stdin, capture_output=True, check=False,
        )  # fmt: skip
        said = done.stderr.decode(errors="replace")
        assert done.returncode == code, f"{words} ended with {done.returncode}: {said}"
        return done.stdout.decode()

    def _own(self) -> dict[str, str]:
        return self.environment | {"DJANGO_SETTINGS_MODULE": "evdebug.settings"}

    def forget_provision(self) -> None:
        """End the helper that makes systems. May be called twice."""
        if self._provision is not None:
            self._provision.communicate()
            self._provision = None

    def said(self) -> str:
        """Return the end of what `up` wrote to stderr."""
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    @cached_property
    def default(self) -> System:
        """The system `test`, made when first asked for."""
        return self.system("test")

    def system(self, slug: str, name: str = "") -> System:
        """Make a system and return it with a key for each scope."""
        if self._provision is None:
            self._provision = subprocess.Popen(
                [sys.executable, "-m", "tests.provision"],
                cwd=ROOT, env=self._own(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        assert self._provision.stdin
        assert self._provision.stdout
        self._provision.stdin.write(json.dumps([slug, name]) + "\n")
        self._provision.stdin.flush()
        if not (answer := self._provision.stdout.readline()):
            raise AssertionError(self._provision.communicate()[1])
        return System(self, slug, json.loads(answer))

    def sign_in_link(self) -> str:
        """Return a link that signs the administrator in, once."""
        return self.manage("signin").split()[-1]


@dataclass
class System:
    """A system of a running evdebug, and a key to it for each scope."""

    server: Evdebug
    slug: str
    keys: dict[str, str]

    @property
    def ingest_key(self) -> str:
        return self.keys["ingest"]

    @property
    def read_key(self) -> str:
        return self.keys["read"]

    @property
    def write_key(self) -> str:
        return self.keys["write"]

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"{self.server.url}/{self.slug}"

    def send(self, *events: dict[str, Any], path: str = "/v1/events") -> tuple[int, Any]:
        """POST events as plain JSON and return status and answer."""
        return self._ask(path, key=self.ingest_key, body=json.dumps(events).encode())

    def get(self, path: str, *, key: str = "") -> tuple[int, Any]:
        """GET `/api/v1/SLUG/…` and return status and answer."""
        return self._ask(f"/api/v1/{self.slug}/{path}", key=key or self.read_key)

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """POST to `/api/v1/SLUG/…` with the key that may write; return status and answer."""
        sent = json.dumps(body).encode()
        return self._ask(f"/api/v1/{self.slug}/{path}", key=self.write_key, body=sent)

    def _ask(self, path: str, *, key: str, body: bytes | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = Request(self.server.url + path, data=body, headers=headers)
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            return error.code, json.loads(error.read())
