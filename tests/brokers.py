"""The message brokers the tests of taps need, started here as `tests.services` starts its servers.

Each is a context that gives a `Broker`, which can be stopped, killed and started again on the same
port with the same files.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

from tests.services import Missing, die_with_parent, free_port, listens, wait_until

STOP_S = 60
PLUGINS = "[rabbitmq_management,rabbitmq_event_exchange]."
ERLANG = "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
GUEST = "Basic Z3Vlc3Q6Z3Vlc3Q="


@dataclass
class Broker:
    """A server with files of its own; `port` stays the same when it starts again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    scheme = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the words that start it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def is_ready(self) -> bool:
        return listens(self.port)

    def start(self) -> None:
        """Start it and return once it answers."""
        log = self.folder / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=die_with_parent,
            )  # fmt: skip
        wait_until(self.is_ready, self.process, log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it: SIGTERM cleanly, SIGKILL as a crash. May be called twice."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(STOP_S)
            self.process = None

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and start it again."""
        self.stop(how)
        self.start()


class Redis(Broker):
    """Redis that writes each command to its append-only file before it answers."""

    scheme = "redis"

    def command(self) -> list[str]:
        return [
            _found("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "yes", "--appendfsync", "always",
            "--dir", str(self.folder),
        ]  # fmt: skip

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as to:
            to.sendall(b"PING\r\n")
            return to.recv(7) == b"+PONG\r\n"
        return False


class Nats(Broker):
    """NATS with JetStream."""

    scheme = "nats"

    def command(self) -> list[str]:
        return [
            _found("nats-server"), "--addr", "127.0.0.1", "--port", str(self.port),
            "--jetstream", "--store_dir", str(self.folder),
        ]  # fmt: skip


class Mosquitto(Broker):
    """An MQTT broker that keeps sessions and what waits for them."""

    scheme = "mqtt"

    def command(self) -> list[str]:
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
            # Saved as it ends and by `save`: after every change takes seconds for thousands.
            f"persistence true\npersistence_location {self.folder}/\nmax_queued_messages 0\n"
        )
        return [_found("mosquitto"), "-c", str(settings)]

    def save(self) -> None:
        """Have it write down what it holds, so that it has it after a crash."""
        assert self.process is not None
        kept = self.folder / "mosquitto.db"
        kept.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        wait_until(kept.exists, self.process, self.folder / "log")


@dataclass
class RabbitMQ(Broker):
    """RabbitMQ with its management API, and an Erlang port mapper of its own."""

    management: int = field(default_factory=free_port)
    mapper: int = field(default_factory=free_port)
    distribution: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        # A mapper that the server starts by itself would outlive it.
        self._mapping = subprocess.Popen(
            [_found("epmd", "erlang-base"), "-port", str(self.mapper), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
        super().start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        super().stop(how)
        self._mapping.kill()
        self._mapping.wait(STOP_S)

    def command(self) -> list[str]:
        (self.folder / "plugins").write_text(PLUGINS)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nmanagement.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.management}\ndisk_free_limit.absolute = 50MB\n"
            "log.console = true\nlog.console.level = warning\ncollect_statistics_interval = 1000\n"
        )
        return [str(_rabbitmq_server())]

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server it starts
            "RABBITMQ_NODENAME": f"evdebug{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        }

    def is_ready(self) -> bool:
        return listens(self.port) and self.api("GET", "overview") is not None

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the management API answers; None where it is away or has no such thing."""
        request = Request(
            f"http://127.0.0.1:{self.management}/api/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": GUEST},
        )  # fmt: skip
        with contextlib.suppress(OSError), urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
        return None


def _found(program: str, package: str = "") -> str:
    # Servers live in /usr/sbin, which is not on everybody's PATH.
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(
            f"There is no {program} on PATH (Debian: apt-get install {package or program})."
        )
    return path


def _rabbitmq_server() -> Path:
    # Not the one on PATH: Debian's would start the machine's own broker, as a user of its own.
    for path in sorted(
        Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")
    ):
        return path
    raise Missing(
        "There is no RabbitMQ server: no /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin "
        "(Debian: apt-get install rabbitmq-server)."
    )


B = TypeVar("B", bound=Broker)


@contextmanager
def started(kind: type[B]) -> Iterator[B]:
    """Start a broker, and stop it in the end.  raises  Missing"""
    with tempfile.TemporaryDirectory(prefix="evdebug-", ignore_cleanup_errors=True) as name:
        broker = kind(Path(name))
        broker.command()  # Missing, where it is
        try:
            broker.start()
            yield broker
        finally:
            broker.stop(signal.SIGKILL)
