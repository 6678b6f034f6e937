from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery

from evdebug import embedded
from evdebug.celery import app as celery_app
from evdebug.embedded import Embedded


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """evdebug's Celery application, with an empty queue and no tasks but the test's own."""
    monkeypatch.setattr(embedded, "AT_START", ())
    celery_app.finalize()
    known, schedule = set(celery_app.tasks), celery_app.conf.beat_schedule
    celery_app.conf.beat_schedule = {}
    celery_app.control.purge()
    yield celery_app
    celery_app.control.purge()
    celery_app.conf.beat_schedule = schedule
    for name in set(celery_app.tasks) - known:
        celery_app.tasks.unregister(name)


def test_it_works(app: Celery) -> None:
    done = threading.Event()
    given: list[int] = []

    @app.task(name="note")  # type: ignore[untyped-decorator]
    def note(number: int) -> None:
        given.append(number)
        done.set()

    with Embedded(app):
        note.delay(7)
        assert done.wait(10)
    assert given == [7]


def test_a_task_that_fails_leaves_the_worker_working(app: Celery) -> None:
    done = threading.Event()

    @app.task(name="fail")  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise ValueError("on purpose")

    @app.task(name="succeed")  # type: ignore[untyped-decorator]
    def succeed() -> None:
        done.set()

    with Embedded(app):
        fail.delay()
        succeed.delay()
        assert done.wait(10)


def test_the_clock_rings(app: Celery) -> None:
    rung = threading.Semaphore(0)
    app.conf.beat_schedule = {"ring": {"task": "ring", "schedule": timedelta(seconds=0.2)}}

    @app.task(name="ring")  # type: ignore[untyped-decorator]
    def ring() -> None:
        rung.release()

    with Embedded(app):
        assert rung.acquire(timeout=10)
        assert rung.acquire(timeout=10)


def test_what_must_run_at_the_start_does(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(embedded, "AT_START", ("first",))

    @app.task(name="first")  # type: ignore[untyped-decorator]
    def first() -> None:
        done.set()

    with Embedded(app):
        assert done.wait(10)


def test_it_stops_within_seconds_and_may_start_again(app: Celery) -> None:
    for _ in range(2):
        done = threading.Event()

        @app.task(name=f"note-{time.monotonic_ns()}")  # type: ignore[untyped-decorator]
        def note(done: threading.Event = done) -> None:
            done.set()

        with Embedded(app):
            note.delay()
            assert done.wait(10)
            began = time.monotonic()
        assert time.monotonic() - began < 10
        names = {thread.name for thread in threading.enumerate()}
        assert not names & {"celery worker", "celery clock"}


def test_a_task_that_never_ends_is_left_behind(
    app: Celery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started, release = threading.Event(), threading.Event()
    monkeypatch.setattr(embedded, "STOP_S", 0.5)

    @app.task(name="endless")  # type: ignore[untyped-decorator]
    def endless() -> None:
        started.set()
        release.wait(60)

    # The first worker of a process has Django set up logging anew, without what pytest put there.
    logger = logging.getLogger("evdebug.embedded")
    logger.addHandler(caplog.handler)
    one = Embedded(app)
    try:
        with one:
            endless.delay()
            assert started.wait(10)
    finally:
        logger.removeHandler(caplog.handler)
        release.set()
        for thread in one.threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in one.threads)
    assert "The celery worker is still busy and is left behind." in caplog.messages
