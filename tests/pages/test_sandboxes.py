"""The pages of sandboxes, on a small system whose services nobody can run: effects stay."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.test import Client

from apps.pages.models import Preferences
from apps.projections.commands.codes import keep_code
from apps.sandbox.commands import jobs
from apps.sandbox.models import Fork, Run
from apps.sandbox.queries.comparison import kept_states
from tests.conftest import Log


def made(client: Client, **fields: str) -> Fork:
    """Make a sandbox by its form and return it."""
    answer = client.post("/shop/sandboxes", {"base": "5", "until": "60"} | fields)
    assert answer.status_code == 302
    return Fork.objects.latest("pk")


def done(fork: Fork) -> Run:
    """Do the last run of a sandbox here."""
    run = jobs.claim(fork.runs.latest("number").pk)
    assert run is not None
    return jobs.work(run)


def page(client: Client, fork: Fork, query: str = "") -> str:
    return client.get(f"/shop/sandboxes/{fork.pk}{query}", follow=True).content.decode()


def test_the_story_of_one_event(trade: Log, debugger: Client) -> None:
    fork = made(debugger, name="Without <b>it</b>", position="6", start="1")
    run = done(fork)

    text = page(debugger, fork)
    assert run.status == "finished"
    assert 'data-mode="fork"' in text
    assert "Without &lt;b&gt;it&lt;/b&gt;" in text
    assert "missing</span> 1" in text
    assert "did not happen" in text
    assert "1 of 1 on" in text


def test_it_is_marked_on_the_bar_and_a_step_of_the_tour(trade: Log, debugger: Client) -> None:
    fork = made(debugger, name="Without <b>it</b>", position="6", start="1")
    run = done(fork)
    page(debugger, fork)
    assert Preferences.objects.get().tour == ["fix"]
    act = f"/shop/sandboxes/{fork.pk}/act?timeline={run.timeline}"
    assert debugger.post(act, {"do": "keep"}).status_code == 302
    assert Preferences.objects.get().tour == ["fix", "keep"]
    bar = debugger.get("/shop/dock", headers={"HX-Request": "true"}).content.decode()
    assert 'aria-label="Sandbox: Without &lt;b&gt;it&lt;/b&gt;"' in bar
    assert 'class="mark m-fork"' in bar


def test_switching_an_edit_off_and_running_again(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6")
    form = f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}"
    debugger.post(form, {"do": "switch", "index": "0"})
    debugger.post(f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}", {"do": "start"})
    done(fork)

    text = page(debugger, fork)
    assert "0 of 1 on" in text
    assert "Nothing differs." in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"op": "skip", "position": "3"}, "is not after the fork point"),
        ({"op": "skip", "position": "x"}, "whole number"),
        ({"op": "change", "position": "7", "data": "{"}, "not JSON"),
        ({"op": "insert", "after": "9", "event": "{}"}, "`type`"),
        ({"op": "fly"}, "expected one of"),
        ({"op": "skip", "position": "6"}, "contradicts"),
    ],
)
def test_an_edit_that_cannot_be_meant_is_refused_in_words(
    fields: dict[str, str], words: str, trade: Log, debugger: Client
) -> None:
    fork = made(debugger, position="6")
    answer = debugger.post(
        f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}", {"do": "add"} | fields
    )
    assert answer.status_code == 422
    text = answer.content.decode().replace("&#x27;", "'")
    assert words in text
    for typed in fields.values():  # nobody types it again
        assert fields["op"] == "fly" or typed in text.replace("&quot;", '"')


def test_a_viewer_sees_and_changes_nothing(trade: Log, debugger: Client, viewer: Client) -> None:
    fork = made(debugger, position="6")

    assert "New sandbox" not in viewer.get("/shop/sandboxes").content.decode()
    assert viewer.get(f"/shop/sandboxes/{fork.pk}", follow=True).status_code == 200
    assert viewer.post("/shop/sandboxes", {"base": "5"}).status_code == 403
    act = f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}"
    assert viewer.post(act, {"do": "start"}).status_code == 403
    assert fork.runs.count() == 0


def test_a_sandbox_of_another_system_is_not_there(trade: Log, debugger: Client) -> None:
    assert debugger.get("/shop/sandboxes/99999").status_code == 404


def test_nothing_recorded_and_nothing_made(shop: Log, debugger: Client) -> None:
    assert "Nothing recorded yet" in debugger.get("/shop/sandboxes").content.decode()


def test_a_discarded_one_is_gone(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    debugger.post(f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}", {"do": "discard"})
    assert debugger.get(f"/shop/sandboxes/{fork.pk}").status_code == 404


def test_the_other_pages_work_on_a_sandbox(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", start="1")
    done(fork)
    for address in ("events", "traces", "state", "state/order-3"):
        text = debugger.get(
            f"/shop/{address}?timeline={fork.timeline}", follow=True
        ).content.decode()
        assert 'data-mode="fork"' in text
        assert "Leave the sandbox" in text


def test_todays_code_against_history(trade: Log, debugger: Client) -> None:
    keep_code(
        trade.line, "strict", "def reducer(state, event):\n    raise ValueError('<b>')",
        streams="order-*", owner=1,
    )  # fmt: skip
    fork = made(debugger)
    act = f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}"
    assert debugger.post(act, {"do": "start", "check": "folds"}).status_code == 302
    assert done(fork).status == "finished"
    text = page(debugger, fork)
    assert "ValueError: &lt;b&gt;" in text
    assert "by projection, type and version" in text


def act(client: Client, fork: Fork, **fields: str) -> int:
    return client.post(
        f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}", fields
    ).status_code  # fmt: skip


def test_a_duplicate_has_the_recipe_and_none_of_the_runs(trade: Log, debugger: Client) -> None:
    fork = made(debugger, name="One", position="6", start="1")
    assert act(debugger, fork, do="duplicate") == 302
    copy = Fork.objects.latest("pk")
    same = ("name", "base", "until", "edits", "code", "options", "system")
    assert [getattr(copy, n) for n in same] == [getattr(fork, n) for n in same]
    assert (copy.timeline != fork.timeline, copy.runs.count(), copy.discarded) == (True, 0, False)
    assert done(fork).status == "finished"
    act(debugger, copy, do="start")
    assert done(copy).result == {**(done_of(fork).result or {}), "self": None}


def done_of(fork: Fork) -> Run:
    return fork.runs.latest("number")


def test_the_fork_point_moves(trade: Log, debugger: Client, viewer: Client) -> None:
    fork = made(debugger, position="6")
    assert 'value="5"' in page(debugger, fork)
    assert act(viewer, fork, do="move", base="4", until="50") == 403
    assert act(debugger, fork, do="move", base="4", until="50") == 302
    moved = Fork.objects.latest("pk")
    assert (moved.base, moved.until, moved.edits) == (4, 50, fork.edits)
    fork.refresh_from_db()
    assert fork.discarded  # it had never run
    act(debugger, moved, do="start")
    run = done(moved)
    assert run.result
    assert (run.status, run.result["missing"]) == ("finished", 1)

    assert act(debugger, moved, do="move", base="3", until="50") == 302
    moved.refresh_from_db()
    assert not moved.discarded  # its run is still to be seen


@pytest.mark.parametrize(
    ("base", "until", "words"),
    [
        ("6", "50", "is not after the fork point"),
        ("60", "50", "expected 0"),
        ("never", "50", "never"),
        ("3", "5", "up to"),
    ],
)
def test_a_fork_point_that_cannot_be_is_refused(
    base: str, until: str, words: str, trade: Log, debugger: Client
) -> None:
    fork = made(debugger, position="6")
    answer = debugger.post(
        f"/shop/sandboxes/{fork.pk}/act?timeline={fork.timeline}",
        {"do": "move", "base": base, "until": until},
    )
    assert answer.status_code == 422
    text = answer.content.decode()
    assert words in text
    assert f'name="base" maxlength="80" required value="{base}"' in text
    assert Fork.objects.count() == 1


def test_a_run_that_rests_says_what_differs_so_far(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", until="20", start="1")
    run = done_of(fork)
    Run.objects.filter(pk=run.pk).update(steps=3)
    assert done(fork).status == "paused"
    text = page(debugger, fork)
    found = re.search(r"<b>So far (\d+) gone, 0 changed, 0 new</b>, of (\d+)\srecorded", text)
    assert found, text[text.index("Verdict") :][:600]
    gone, of = map(int, found.groups())
    assert (gone, of) == (of - 3, Run.objects.get(pk=run.pk).done)
    Run.objects.filter(pk=run.pk).update(status="queued", steps=0)
    assert done(fork).status == "finished"
    assert "So far" not in page(debugger, fork)
    act(debugger, made(debugger, start="1"), do="start")
    rested = Fork.objects.latest("pk").runs.earliest("number")
    Run.objects.filter(pk=rested.pk).update(steps=3)
    jobs.work(jobs.claim(rested.pk) or rested)
    assert "So far nothing differs" in page(debugger, rested.fork, f"?timeline={rested.timeline}")


def control(client: Client, fork: Fork, timeline: int, **fields: str) -> int:
    address = f"/shop/sandboxes/{fork.pk}/act?timeline={timeline}"
    return client.post(address, fields).status_code


def test_it_is_shrunk_and_taken_along(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", until="30")
    assert (
        control(debugger, fork, fork.timeline, do="start", check="shrink", fails="differs") == 302
    )
    run = done(fork)
    assert (run.status, run.error) == ("finished", "")
    text = page(debugger, fork)
    assert "1 of " in text
    assert "inputs is enough." in text
    assert "Edits that are needed: Skip" in text

    export = f"/shop/sandboxes/{fork.pk}/export?timeline={run.timeline}"
    answer = debugger.get(export)
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert "run/recipe.json" in archive.namelist()
        assert len(archive.read("run/events.ndjson").splitlines()) < 10
    assert debugger.get(f"{export}&redact=nonsense").status_code == 422


def test_a_run_is_taken_along_without_secrets(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6", start="1")
    run = done(fork)
    names = sorted({name for e in trade.read(after=5, upto=60) if e.kind == "event" and e.data
                    for name in (e.value() or {})})  # fmt: skip
    export = f"/shop/sandboxes/{fork.pk}/export"
    query = {"timeline": str(run.timeline), "redact": f"mask data.{names[0]}"}
    with zipfile.ZipFile(io.BytesIO(debugger.get(export, query).content)) as archive:
        assert b"***" in archive.read("run/events.ndjson")


def test_a_shrink_of_what_does_not_fail_says_so(trade: Log, debugger: Client) -> None:
    fork = made(debugger, until="30")
    control(debugger, fork, fork.timeline, do="start", check="shrink", stop_when="position < 0")
    done(fork)
    assert "It does not fail: position &lt; 0" in page(debugger, fork)


def test_a_dry_run_before_events_go_out(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    form = f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}"
    target = {"do": "code", "service": "<b>copy</b>", "how": "http", "types": "OrderPlaced"}
    bad = debugger.post(form, target | {"outside": "ftp://x"})
    assert bad.status_code == 422
    answer = debugger.post(form, target | {"outside": "http://127.0.0.1:9/x"})
    assert answer.status_code == 302
    text = page(debugger, fork)
    assert "runs hand events to http://127.0.0.1:9/x" in text
    assert "Dry run" in text
    assert control(debugger, fork, fork.timeline, do="start") == 422
    assert control(debugger, fork, fork.timeline, do="start", check="dry") == 302
    assert done(fork).status == "finished"
    text = page(debugger, fork)
    assert "Nothing was sent." in text
    assert "&lt;b&gt;copy&lt;/b&gt;" in text
    assert control(debugger, fork, fork.timeline, do="start") == 302


def test_stepwise(trade: Log, debugger: Client) -> None:
    fork = made(debugger)
    control(debugger, fork, fork.timeline, do="start", speed="step")
    run = done(fork)
    assert (run.status, run.done) == ("paused", 1)
    control(debugger, fork, run.timeline, do="step")
    assert done(fork).done == 2
    control(debugger, fork, run.timeline, do="resume")
    assert done(fork).status == "finished"


def test_states_are_compared_by_a_projection(trade: Log, debugger: Client) -> None:
    code = "def reducer(state, event):\n    return {'n': (state or {'n': 0})['n'] + 1}\n"
    keep_code(trade.line, "counts", code, streams="*", owner=1)
    fork = made(debugger, position="6")
    form = f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}"
    debugger.post(form, {"do": "options", "projection": "counts"})
    control(debugger, fork, fork.timeline, do="start")
    run = done(fork)
    text = page(debugger, fork)
    assert run.status == "finished"
    assert kept_states(run) == [("order-1", [{"op": "remove", "path": "", "before": {"n": 1}}])]
    assert "States compared by" in text


def test_states_are_told_before_a_run(trade: Log, debugger: Client) -> None:
    fork = made(debugger, position="6")
    assert "States would end so:" in page(debugger, fork)
    form = f"/shop/sandboxes/{fork.pk}/recipe?timeline={fork.timeline}"
    debugger.post(form, {"do": "switch", "index": "0"})
    text = page(debugger, fork)
    assert "Not run yet" not in text  # nothing is on
    debugger.post(form, {"do": "switch", "index": "0"})
    ahead = page(debugger, fork)
    control(debugger, fork, fork.timeline, do="start")
    run = done(fork)
    text = page(debugger, fork)
    assert "Not run yet" not in text
    for stream, steps in kept_states(run):
        assert f"<bdi>{stream}</bdi>" in ahead
        assert len(steps) >= 1
