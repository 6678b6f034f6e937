"""What every test may ask for: a log to write to, a server to talk to, the services behind them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings

from apps.eventlog.envelope import Envelope, Recorded
from apps.eventlog.places import Line
from tests import brokers, services
from tests.factories import envelope
from tests.kafka import Kafka, jars, java
from tests.running import Evdebug

hypothesis.settings.register_profile("evdebug", deadline=None, print_blob=True)
hypothesis.settings.load_profile("evdebug")

DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "server", "new_server"}
SERVICE_FIXTURES = {
    "postgres": "postgres",
    "redis_url": "redis",
    "redis_broker": "redis",
    "rabbitmq": "rabbitmq",
    "nats": "nats",
    "mosquitto": "mqtt",
    "kafka_broker": "kafka",
    "chromium": "browser",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only",
        action="store_true",
        help="only tests that use the database: the second run, on PostgreSQL",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "only(vendor): about one database (sqlite, postgresql); left out on the other"
    )


def vendor() -> str:
    """Return the database these tests run on: sqlite or postgresql."""
    return "sqlite" if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") else "postgresql"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a service, and leave out what does not belong to this run."""
    left_out = []
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for fixture, marker in SERVICE_FIXTURES.items():
            if fixture in fixtures:
                item.add_marker(marker)
        uses_database = item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES
        only = item.get_closest_marker("only")
        if (config.getoption("database_only") and not uses_database) or (
            only and only.args[0] != vendor()
        ):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what a server said when a test with it fails."""
    report: Any = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for server in getattr(value, "servers", [value] if isinstance(value, Evdebug) else []):
                report.sections.append((f"stderr of {server.url}", server.said()))
    return report


def needed(service: Callable[..., Any]) -> Any:
    """Enter a service's context; skip where this machine lacks it, fail where it is required."""
    try:
        return service()
    except services.Missing as missing:
        if services.required():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server, whatever the tests run on: make databases of your own."""
    with ExitStack() as stack:
        given = os.environ.get("TEST_POSTGRESQL_URL")
        yield given or needed(lambda: stack.enter_context(services.postgresql()).url)


@pytest.fixture(scope="session")
def redis_url(worker_index: int) -> Iterator[str]:
    """The URL of a Redis database that no other worker of this run uses."""
    with ExitStack() as stack:
        given = os.environ.get("TEST_REDIS_URL")
        yield f"{given or needed(lambda: stack.enter_context(services.redis()))}/{worker_index}"


@pytest.fixture(scope="session")
def redis_broker() -> Iterator[brokers.Redis]:
    """A Redis that keeps what it is given, to be killed and started again."""
    yield from _broker(brokers.Redis)


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Kafka]:
    """A Kafka of one node."""
    needed(java)
    needed(jars)
    yield from _broker(Kafka)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[brokers.RabbitMQ]:
    """A RabbitMQ with its management API."""
    yield from _broker(brokers.RabbitMQ)


@pytest.fixture(scope="session")
def nats() -> Iterator[brokers.Nats]:
    """A NATS with JetStream."""
    yield from _broker(brokers.Nats)


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[brokers.Mosquitto]:
    """An MQTT broker."""
    yield from _broker(brokers.Mosquitto)


def _broker(kind: type[brokers.B]) -> Iterator[brokers.B]:
    with ExitStack() as stack:
        yield needed(lambda: stack.enter_context(brokers.started(kind)))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    path: str = needed(services.chromium)
    return path


@pytest.fixture(scope="session")
def worker_index() -> int:
    """0 for the first pytest worker, 1 for the second …"""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


class Log:
    """A fresh system's timeline, and short ways to write to it and read it back."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def line(self) -> Line:
        """The line as it is now, head and all."""
        from apps.eventlog.queries import log

        return log.line(self._line.slug, timeline=self._line.timeline)

    def append(self, *envelopes: Envelope, now: int | None = None) -> list[int]:
        """Write envelopes and return their positions."""
        from apps.eventlog.commands.append import append

        return append(self._line, envelopes, now=now).positions

    def add(self, **fields: Any) -> int:
        """Write one event made by `factories.envelope` and return its position."""
        return self.append(envelope(**fields))[0]

    def read(self, **bounds: Any) -> list[Recorded]:
        """Return events as `queries.log.read` does, 5000 at most."""
        from apps.eventlog.queries import log

        return log.read(self.line, **({"limit": 5000} | bounds))


@pytest.fixture
def line(db: None) -> Line:
    """A fresh system's timeline, empty."""
    from apps.eventlog.commands.systems import create_system

    return create_system(f"s-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def log(line: Line) -> Log:
    """`line`, with short ways to write and read."""
    return Log(line)


class Servers:
    """Makes running evdebugs and stops them all in the end."""

    def __init__(self) -> None:
        self.servers: list[Evdebug] = []
        self._stack = ExitStack()

    def __call__(self, *arguments: str, start: bool = True, **variables: str) -> Evdebug:
        """Start `manage.py up ARGUMENTS` with settings of its own and its own empty database."""
        folder = Path(self._stack.enter_context(_folder()))
        server = Evdebug(folder, _database_url(), settings=variables, arguments=arguments)
        self.servers.append(server)
        self._stack.callback(server.kill)
        if start:
            server.start()
        return server

    def close(self) -> None:
        self._stack.close()


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="evdebug-server-", ignore_cleanup_errors=True)


def _database_url() -> str:
    """Return the URL of a new, empty database of the kind these tests run on; "" for SQLite."""
    if vendor() == "sqlite":
        return ""
    return services.make_database(os.environ["DATABASE_URL"], f"server_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def new_server() -> Iterator[Servers]:
    """Start evdebugs for this test alone: to kill, to fill, to configure."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Evdebug]:
    """A running evdebug shared by all tests that need nothing else; make a system of your own."""
    servers = Servers()
    try:
        started = servers()
        yield started
        code = started.stop()
        assert code == 0, f"`manage.py up` ended with {code}:\n{started.said()}"
    finally:
        servers.close()
