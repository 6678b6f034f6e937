"""What the pages of sandboxes say of runs: in a line each, where they stopped, what was tried."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.pages.queries.runs import ended, runs_shown
from apps.sandbox.models import Fork, Run
from tests.conftest import Log
from tests.pages.test_sandboxes import control, done, made, page

SKIP = {"op": "skip", "position": 6}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "nothing changed"),
        ({"edits": [SKIP]}, "skip OrderPlaced"),
        ({"edits": [SKIP | {"on": False}]}, "nothing changed"),
        ({"edits": [SKIP | {"on": False}, {"op": "delay", "position": 7, "ms": 20}]},
         "delay delivery 1 of OrderPlaced by 20 ms"),
        ({"edits": [SKIP, SKIP, SKIP]}, "skip OrderPlaced, 2\u00a0more edits"),
        ({"code": {"payments": "recorded"}}, "other code of payments"),
        ({"code": {"*": {"git": "a"}}, "edits": [SKIP]}, "skip OrderPlaced, other code of all"),
        ({"check_of": "swapped", "edits": [SKIP]}, "neighbours swapped"),
    ],
)  # fmt: skip
def test_a_run_says_what_was_tried(trade: Log, fields: dict[str, Any], words: str) -> None:
    (shown,) = runs_shown(trade.line, [Run(number=3, timeline=4, **fields)])
    assert shown.words == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "running"}, "replaying"),
        ({"result": {"head": "Nothing differs.", "figures": [
            {"name": "Unexpected changes", "before": "0"}]}}, "Nothing differs."),
        ({"result": {"head": "It heals.", "figures": [
            {"name": "a.b", "before": "−1", "after": "0"}]}}, "−1 → 0"),
    ],
)  # fmt: skip
def test_a_run_says_what_it_came_to(fields: dict[str, Any], words: str) -> None:
    assert ended(Run(**fields)) == words


def listed(client: Client) -> tuple[str, int]:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        text = client.get("/shop/sandboxes").content.decode()
    return text, len(queries)


def test_a_list_of_many_asks_as_often_as_one_of_few(trade: Log, debugger: Client) -> None:
    for n in range(2):
        done(made(debugger, name=f"copy {n}", position="6", start="1"))
    listed(debugger)
    few = listed(debugger)[1]
    for n in range(2, 6):
        fork = made(debugger, name=f"copy {n}", position="6", start="1")
        done(fork)
        control(debugger, fork, fork.timeline, do="start")
    text, many = listed(debugger)
    assert many == few
    assert text.count("queued") == 4  # the last run of those is a second one
    assert text.count("gone") == 2


def test_what_a_run_came_to_stands_in_the_list_of_runs(trade: Log, debugger: Client) -> None:
    fork = made(debugger, name="without", position="6", start="1")
    run = done(fork)
    control(debugger, fork, run.timeline, do="keep", name="kept <b>so</b>")
    text = page(debugger, fork)
    assert "<bdi>skip OrderPlaced</bdi>" in text
    assert "Saved as test" in text


def test_a_breakpoint_says_how_often_it_was_reached(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    control(debugger, fork, fork.timeline, do="start", stop_when="stream == 'order-3'")
    run = done(fork)
    assert run.status == "stopped"
    assert "breakpoint reached 1\u00a0time" in page(debugger, fork)
    control(debugger, fork, run.timeline, do="resume")
    assert done(fork).status == "finished"
    text = page(debugger, fork)
    assert "breakpoint reached 1\u00a0time" in text
    assert "not reached" not in text
    control(debugger, fork, run.timeline, do="start", stop_when="stream == 'none'")
    assert done(fork).status == "finished"
    assert "breakpoint not reached" in page(debugger, fork)


def test_how_fast_it_goes_is_kept(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    for speed in ("recorded", "x10", "step"):
        control(debugger, fork, fork.timeline, do="start", speed=speed)
        control(debugger, fork, fork.runs.latest("number").timeline, do="cancel")
        assert f'<option value="{speed}" selected>' in page(debugger, fork)


def test_stepwise_by_one_button(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    control(debugger, fork, fork.timeline, do="stepwise", speed="fast")
    run = done(fork)
    assert (run.status, run.done) == ("paused", 1)


def test_it_is_renamed(trade: Log, debugger: Client) -> None:
    fork = made(debugger, name="first")
    form = f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}"
    assert debugger.post(form, {"do": "name", "name": "<i>second</i>"}).status_code == 302
    text = page(debugger, fork)
    assert "&lt;i&gt;second&lt;/i&gt;" in text
    assert "<i>second" not in text


def test_a_form_of_an_edit_begins_with_what_the_sandbox_is_about(
    trade: Log, debugger: Client
) -> None:
    fork = made(debugger)  # after #5
    for op in ("skip", "change", "move", "delay", "repeat"):
        assert 'value="6"' in page(debugger, fork, f"?timeline={fork.timeline}&op={op}")
    assert 'name="after" required inputmode="numeric" value="5"' in page(
        debugger, fork, f"?timeline={fork.timeline}&op=insert"
    )


def test_a_trace_has_its_name_whatever_is_shown(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", start="1")
    done(fork)
    for show in ("", "&show=all"):
        text = page(debugger, fork, f"?timeline={fork.timeline}{show}")
        assert "<bdi>order-1</bdi></a><a" in text


def test_without_scripts_a_run_is_looked_at_again(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", start="1")
    assert ">Look again</a></noscript>" in page(debugger, fork)
    done(fork)
    assert "Look again" not in page(debugger, fork)


def test_handlers_that_fail_are_told(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    fails = (
        "from evdebug.sdk import subscriber\n\n"
        "@subscriber('payments', to='OrderPlaced')\ndef charge(event, ctx):\n"
        "    raise ValueError('<b>no</b>')\n    yield\n"
    )
    Fork.objects.filter(pk=fork.pk).update(code={"payments": {"source": fails}})
    control(debugger, fork, fork.timeline, do="start")
    run = done(fork)
    assert (run.status, run.error) == ("finished", "")
    text = page(debugger, fork)
    assert "Handlers that fail" in text
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in text
