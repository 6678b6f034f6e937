"""The database cannot be written: said at once, to all, by every face; healed by itself."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests import services
from tests.conftest import needed
from tests.ingest.asking import Answer, post
from tests.ingest.outages import locked
from tests.running import Evdebug, System

PATIENCE_S = 60
pytestmark = pytest.mark.slow


def send(system: System, event_id: str) -> Answer:
    body = b'{"type":"t","id":"%s"}' % event_id.encode()
    return post(system.server, "/v1/events", body, key=system.ingest_key)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def ids(system: System) -> list[str]:
    status, shape = system.get("events?order=asc&limit=1000")
    assert status == 200
    return [event["id"] for event in shape["events"]]


@contextmanager
def full_disk(server: Evdebug) -> Iterator[None]:
    """Let the process write to no file, as a full disk would."""
    assert server.process
    pid, unlimited = server.process.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


@pytest.mark.only("sqlite")
def test_a_full_disk(new_server: Callable[..., Evdebug]) -> None:  # A12
    system = new_server().system("full")
    assert send(system, "before").status == 200
    assert ids(system) == ["before"]
    with full_disk(system.server):
        answer = send(system, "during")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        until(lambda: not system.server.is_ready())
        assert ids(system) == ["before"]  # what is there can be read
        for _ in range(5):
            assert send(system, "during").status == 503
    until(system.server.is_ready)
    assert send(system, "during").status == 200
    assert ids(system) == ["before", "during"]
    assert system.server.stop() == 0


@pytest.mark.postgres
def test_the_database_goes_and_comes_back() -> None:  # A14, A15
    with ExitStack() as stack:
        postgresql: services.PostgreSQL = needed(
            lambda: stack.enter_context(services.postgresql(durable=True))
        )
        folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        server = Evdebug(Path(folder) / "evdebug", postgresql.url)
        server.start()
        stack.callback(server.kill)
        system = server.system("gone")
        assert send(system, "before").status == 200
        postgresql.stop(signal.SIGQUIT)
        answer = send(system, "during")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["retry-after"]
        until(lambda: not server.is_ready())
        postgresql.start()
        until(server.is_ready)
        assert send(system, "during").status == 200
        assert ids(system) == ["before", "during"]
        assert server.stop() == 0


@pytest.mark.postgres
def test_a_restart_between_two_requests_is_not_noticed() -> None:
    with ExitStack() as stack:
        postgresql: services.PostgreSQL = needed(
            lambda: stack.enter_context(services.postgresql(durable=True))
        )
        folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        server = Evdebug(Path(folder) / "evdebug", postgresql.url)
        server.start()
        stack.callback(server.kill)
        system = server.system("again")
        assert send(system, "before").status == 200
        postgresql.stop()
        postgresql.start()
        assert send(system, "after").status == 200
        assert ids(system) == ["before", "after"]


@pytest.mark.timeout(180)
def test_a_lock_that_is_not_let_go(new_server: Any) -> None:  # A18
    system = new_server().system("locked")
    assert send(system, "before").status == 200
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(send(system, "during"))

    began = time.monotonic()
    with locked(system.server):
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(PATIENCE_S)
        assert 25 < time.monotonic() - began < 50
        assert [(a.status, a.code) for a in answers] == [(503, "unavailable")]
        assert not system.server.is_ready()
    until(system.server.is_ready)
    assert send(system, "during").status == 200
    assert ids(system) == ["before", "during"]


def test_a_short_lock_is_waited_for(new_server: Any) -> None:
    system = new_server().system("locked")
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(send(system, "a")))
    assert send(system, "before").status == 200
    with locked(system.server):
        asking.start()
        asking.join(1)
        assert answers == []
    asking.join(PATIENCE_S)
    assert [a.status for a in answers] == [200]
