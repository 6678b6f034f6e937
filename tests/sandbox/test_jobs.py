"""Runs as jobs: claimed once, fenced, paused, stepped, stopped, cancelled; killed workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from apps.eventlog.commands.append import append
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.sandbox.commands import control, forks, jobs, selfcheck
from apps.sandbox.errors import BadRecipe, NotNow
from apps.sandbox.models import Run
from tests.sandbox.history import NOW, envelopes, shop_log

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def begun(line: Line, settings: Any) -> Line:
    """The first minute of the shop."""
    settings.CODE = ("examples.shop.services",)
    append(line, envelopes(shop_log(2)[:900]), now=NOW)
    return log.line(line.slug)


def queued(line: Line, **options: Any) -> Run:
    fork = forks.create(line, base=0, options=options)
    return forks.start(line, fork)


def done(run: Run) -> Run:
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    return jobs.work(claimed)


def test_it_works(begun: Line) -> None:
    run = done(queued(begun))
    assert (run.status, run.done, run.error) == ("finished", 900, "")
    assert log.line_of(run.timeline).head == 900


def test_one_worker_at_a_time(begun: Line) -> None:
    run = queued(begun)
    assert jobs.claim(run.pk) is not None
    assert jobs.claim(run.pk) is None

    Run.objects.filter(pk=run.pk).update(lease=timezone.now() - timedelta(seconds=1))
    assert jobs.claim(run.pk) is not None


def test_a_worker_thought_dead_writes_nothing(begun: Line) -> None:
    run = queued(begun)
    slow = jobs.claim(run.pk)
    assert slow is not None
    Run.objects.filter(pk=run.pk).update(lease=timezone.now() - timedelta(seconds=1))
    finished = done(run)
    head = log.line_of(run.timeline).head

    assert jobs.work(slow).status == finished.status == "finished"
    assert log.line_of(run.timeline).head == head
    assert jobs.claim(run.pk) is None


def test_stepping_makes_one_entry_at_a_time(begun: Line) -> None:
    run = forks.start(begun, forks.create(begun, base=0), steps=1)
    run = done(run)
    assert (run.status, log.line_of(run.timeline).head) == ("paused", 1)
    run = done(control.do(run, "step", steps=3))
    assert (run.status, log.line_of(run.timeline).head) == ("paused", 4)
    run = done(control.do(run, "resume"))
    assert (run.status, log.line_of(run.timeline).head) == ("finished", 900)


def test_it_stops_when_an_expression_holds_and_goes_on_from_there(begun: Line) -> None:
    run = done(queued(begun, stop_when="event.type == 'PaymentAuthorized'"))
    line = log.line_of(run.timeline)
    last = log.event(line, line.head)
    assert run.status == "stopped"
    assert last is not None
    assert last.type == "PaymentAuthorized"
    assert f"#{line.head}" in run.error


def test_what_was_cancelled_stays_so(begun: Line) -> None:
    run = control.do(queued(begun), "cancel")
    assert run.status == "cancelled"
    assert jobs.claim(run.pk) is None
    with pytest.raises(NotNow):
        control.do(run, "resume")


def test_a_wish_is_heard_while_it_is_checked_that_nothing_changes_by_itself(
    begun: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfcheck, "BEAT_S", 0)
    fork = forks.create(begun, base=0, edits=[{"op": "skip", "position": 500}])
    run = forks.start(begun, fork)
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    Run.objects.filter(pk=run.pk).update(want="cancel")

    assert jobs.work(claimed).status == "cancelled"
    assert log.line_of(run.timeline).head == 0


def test_pausing_what_is_queued(begun: Line) -> None:
    run = control.do(queued(begun), "pause")
    assert jobs.claim(run.pk) is None
    assert done(control.do(run, "resume")).status == "finished"


def test_code_that_cannot_be_imported_fails_the_run_in_words(begun: Line) -> None:
    fork = forks.create(begun, base=0, code={"payments": {"source": "import nothing_there"}})
    run = done(forks.start(begun, fork))
    assert run.status == "failed"
    assert "nothing_there" in run.error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missing": "guess"}, "missing is one of"),
        ({"speed": "warp"}, "speed is one of"),
        ({"stop_when": "1 +"}, "stop_when"),
        ({"stubs": [{"call": 1}]}, "A stub is"),
        ({"colour": 1}, "knows no"),
        ({"factor": -1}, "factor"),
    ],
)
def test_options_that_cannot_be_meant(options: Any, words: str, begun: Line) -> None:
    with pytest.raises(BadRecipe, match=words):
        forks.create(begun, base=0, options=options)


@pytest.mark.slow
def test_a_worker_killed_fifty_times(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items()
        if not name.startswith("EVDEBUG_") and name not in ("DATABASE_URL", "REDIS_URL")
    } | {
        "EVDEBUG_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "evdebug.settings",
        "EVDEBUG_CODE": "examples.shop.services", "EVDEBUG_LOG_LEVEL": "error",
    }  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-m", "tests.sandbox.killing", "50", "7"], cwd=ROOT, env=environment,
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout)

    assert found["kills"] == 50
    assert set(found["statuses"]) == {"finished"}
    assert len(set(found["digests"])) == 1
    assert len(set(found["entries"])) == 1
    assert found["checkpoints"] > 5


@pytest.mark.parametrize(
    "recipe",
    [
        {"edits": [{"op": "change", "position": 5, "data": {"a": ["x\0"]}}]},
        {"edits": [{"op": "insert", "after": 5, "event": {"type": "T", "data": {"\0": 1}}}]},
        {"code": {"payments": {"source": "x = 1\0"}}},
        {"options": {"stubs": [{"call": "c", "response": {"a": "\0"}}]}},
        {"options": {"projection": "a\0"}},
    ],
)
def test_what_no_database_keeps_is_refused_in_words(recipe: dict[str, Any], begun: Line) -> None:
    with pytest.raises(BadRecipe, match="NUL"):
        forks.create(begun, base=0, **recipe)


def test_what_a_handler_says_may_hold_anything(begun: Line) -> None:
    """A call that nothing answers, with a name and a request no database keeps."""
    source = """
from evdebug.sdk import New, subscriber

@subscriber("payments", to="OrderPlaced")
def odd(event, ctx):
    ctx.call("a\\0b", {"x": "\\0"})
    yield from ()
"""
    fork = forks.create(begun, base=0, code={"payments": {"source": source}})
    run = done(forks.start(begun, fork))
    assert run.status == "stopped"
    assert run.wanted == {"call": "a\ufffdb", "request": {"x": "\ufffd"}}
    control.do(run, "resume", options={"missing": "fail"})
    assert done(run).status == "finished"
