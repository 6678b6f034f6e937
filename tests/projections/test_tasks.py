from __future__ import annotations

import itertools

import pytest

from apps.eventlog.commands.forget import forget
from apps.projections.commands.rebuild import drop_snapshots
from apps.projections.models import Follower, Snapshot
from apps.projections.queries.states import state_at
from apps.projections.tasks import BUSY, keep_up
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


def add(log: Log, stream: str, count: int) -> None:
    log.append(*[envelope(stream=stream, data={"n": n, "text": "x" * 50}) for n in range(count)])


def test_busy_streams_get_snapshots_behind_the_head(log: Log) -> None:
    add(log, "busy", 3 * BUSY)
    add(log, "idle", 3)
    assert keep_up() == 1
    found = state_at(log.line, "busy")
    assert found.cost.snapshot is not None
    assert found.state["n"] == 3 * BUSY - 1
    assert keep_up() == 0  # nothing new
    add(log, "idle", 3)
    assert keep_up() == 0


def test_dropping_begins_anew(log: Log) -> None:
    add(log, "busy", 3 * BUSY)
    keep_up()
    assert drop_snapshots(log.line) > 0
    assert not Snapshot.objects.exists()
    assert keep_up() == 1
    assert Snapshot.objects.exists()


def test_forgetting_begins_anew(log: Log) -> None:
    add(log, "busy", 3 * BUSY)
    keep_up()
    forget(log.line, before=BUSY)
    assert not Snapshot.objects.exists()
    assert not Follower.objects.exists()
    assert keep_up() == 1


def test_a_long_log_is_followed_in_stretches(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.projections.tasks.SPAN", BUSY)
    add(log, "busy", 3 * BUSY)
    now = itertools.count()
    monkeypatch.setattr("apps.projections.tasks.time.monotonic", lambda: next(now))
    assert keep_up(budget=2) == 1  # the clock is read once for each stretch
    assert Follower.objects.get().position == BUSY
    monkeypatch.undo()
    keep_up(budget=None)
    assert Follower.objects.get().position == 3 * BUSY
