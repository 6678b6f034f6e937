"""Celery: what a real worker says, from Redis and from RabbitMQ."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery as Application

from apps.ingest import buses, records
from apps.ingest.connector import BadSettings, Connector, Cursor, Delivery, Surroundings
from apps.ingest.connectors.celery_events import Tasks, unpacked
from tests import brokers
from tests.services import die_with_parent, free_port, wait_for

AROUND = Surroundings(name="celery", reach=lambda host, port: [host])


@contextmanager
def worker(url: str) -> Iterator[Application]:
    """Run a worker of `celery_app`, and give the application to send tasks by."""
    words = [
        sys.executable, "-m", "celery", "-A", "tests.ingest.connectors.celery_app", "worker",
        "--pool", "solo", "--without-gossip", "--without-mingle", "--loglevel", "warning",
        "--hostname", "w1@shop",
    ]  # fmt: skip
    process = subprocess.Popen(
        words, env=os.environ | {"CELERY_TEST_BROKER": url}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
    )  # fmt: skip
    app = Application("shop", broker=url)
    app.conf.update(task_send_sent_event=True, task_ignore_result=True)
    try:
        wait_for(lambda: bool(app.control.ping(timeout=0.5)), "the worker")
        yield app
    finally:
        app.close()
        process.send_signal(signal.SIGKILL)
        process.wait(30)


@contextmanager
def opened(url: str, cursor: Cursor | None = None) -> Iterator[Connector]:
    connector = buses.connector("celery", {"url": url}, AROUND)
    connector.open(cursor or {})
    try:
        yield connector
    finally:
        connector.close()


@pytest.fixture(params=["redis", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    """The broker of a Celery application."""
    if request.param == "redis":
        broker: brokers.Redis = request.getfixturevalue("redis_broker")
        return f"{broker.url}/5"
    rabbit: brokers.RabbitMQ = request.getfixturevalue("rabbitmq")
    return rabbit.url


@pytest.mark.slow
def test_it_works(url: str) -> None:
    with worker(url) as app, opened(url) as connector:
        sent = {name: app.send_task(f"shop.{name}", args).id for name, args in
                {"capture": [7], "decline": [], "flaky": []}.items()}  # fmt: skip
        commands, deliveries = gathered(connector, ends=5)
    by_name = {c.type: c for c in commands}
    assert {c.kind for c in commands} == {"command"}
    assert by_name["shop.capture"].id == sent["capture"]
    # The receipt was asked for by the capture, and belongs to its flow.
    assert by_name["shop.receipt"].causation == sent["capture"]
    assert by_name["shop.receipt"].correlation == sent["capture"]
    assert {d.subscriber for d in deliveries} == {"w1@shop"}
    told = {(d.event_id, d.outcome, d.attempt, d.error) for d in deliveries
            if d.outcome != "received"}  # fmt: skip
    assert told == {
        (sent["capture"], "handled", 1, ""),
        (by_name["shop.receipt"].id, "handled", 1, ""),
        (sent["decline"], "failed", 1, "ValueError('card declined')"),
        (sent["flaky"], "failed", 1, "Retry(Retry(...), OSError('no answer'), 0.1)"),
        (sent["flaky"], "handled", 2, ""),
    }
    clocks = [d.facts["clock"] for d in deliveries if d.event_id == sent["flaky"]]
    assert clocks == sorted(clocks)


def gathered(connector: Connector, *, ends: int) -> tuple[list[Any], list[Delivery]]:
    """Return commands and deliveries, once so many deliveries have ended."""
    commands: list[Any] = []
    deliveries: list[Delivery] = []

    def came() -> bool:
        batch = connector.read(limit=100, wait=0.2)
        form = records.Form("celery")
        commands.extend(e for r in batch.records if (e := records.take(r, form).envelope))
        deliveries.extend(batch.deliveries)
        return sum(d.outcome != "received" for d in deliveries) >= ends

    wait_for(came, f"{ends} ends")
    return commands, deliveries


def test_what_nobody_heard_is_a_gap(redis_broker: brokers.Redis) -> None:
    url = f"{redis_broker.url}/6"
    with opened(url) as connector:
        cursor = connector.read(limit=1, wait=0).cursor
    with opened(url, cursor) as connector:
        assert [g.cause for g in connector.read(limit=1, wait=0).gaps] == ["disconnected"]
        assert not connector.read(limit=1, wait=0)


def test_checking_says_what_workers_need(redis_broker: brokers.Redis) -> None:
    checked = buses.connector("celery", {"url": redis_broker.url}, AROUND).check()
    assert checked.ok
    assert "-E" in checked.lines[-1].words
    nowhere = f"redis://127.0.0.1:{free_port()}"
    assert not buses.connector("celery", {"url": nowhere}, AROUND).check().ok


@pytest.mark.parametrize("url", ["", "sqs://", "redis://h/x"])
def test_settings_that_make_no_sense_are_refused(url: str) -> None:
    with pytest.raises(BadSettings):
        buses.connector("celery", {"url": url}, AROUND)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"7", b"\xff", b'{"type":7}', b'{"type":"worker-online"}', b'{"type":"task-sent"}',
    b'{"body":"!","properties":{}}', b'[{"type":"task-failed","uuid":7}]', b"[" * 10_000,
])  # fmt: skip
def test_what_is_no_event_of_a_task_stops_nothing(body: bytes) -> None:
    assert Tasks().told(unpacked(body)) == ([], [])


def test_events_may_come_in_lists_and_without_names() -> None:
    body = (
        b'[{"type":"task-received","uuid":"u","name":"t","retries":1,"timestamp":1.5},'
        b'{"type":"task-started","uuid":"u","timestamp":2},'
        b'{"type":"task-revoked","uuid":"u","expired":true,"timestamp":3}]'
    )
    commands, (received, skipped) = Tasks().told(unpacked(body))
    assert len(commands) == 1
    assert (received.outcome, received.attempt, received.started) == ("received", 2, None)
    assert (skipped.outcome, skipped.attempt, skipped.error) == ("skipped", 2, "Revoked: expired.")
    assert (skipped.started, skipped.latest) == (2_000_000, 3_000_000)


def test_an_end_is_that_of_the_attempt_that_was_under_way() -> None:
    """The next attempt may be received before it is said how the one before ended."""
    body = (
        b'[{"type":"task-received","uuid":"u","retries":0,"timestamp":1},'
        b'{"type":"task-started","uuid":"u","timestamp":2},'
        b'{"type":"task-sent","uuid":"u","retries":1,"timestamp":3},'
        b'{"type":"task-received","uuid":"u","retries":1,"timestamp":4},'
        b'{"type":"task-retried","uuid":"u","timestamp":3},'
        b'{"type":"task-started","uuid":"u","timestamp":5},'
        b'{"type":"task-succeeded","uuid":"u","timestamp":6}]'
    )
    _, deliveries = Tasks().told(unpacked(body))
    assert [(d.outcome, d.attempt, d.started) for d in deliveries] == [
        ("received", 1, None), ("received", 2, None), ("failed", 1, 2_000_000),
        ("handled", 2, 5_000_000),
    ]  # fmt: skip
