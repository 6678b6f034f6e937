"""The shop's story in a sandbox: what would have happened, without the redelivery and otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apps.eventlog.commands.append import append
from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest.redact import Redactor, parse
from apps.sandbox.commands import forks, jobs, portable
from apps.sandbox.models import Run
from apps.sandbox.queries import code as codes
from apps.sandbox.queries.comparison import comparison
from tests.sandbox.history import NOW, envelopes, shop_log, story_log

SERVICES = ("examples.shop.services",)
ROOT = Path(__file__).resolve().parent.parent.parent
BEFORE, AFTER = 500, 700  # entries around the planted order


class Story:
    """A stretch of the shop's past around order-1042, in a log, and runs over it."""

    def __init__(self, line: Line, past: Sequence[Recorded], before: int) -> None:
        placed = next(e for e in past if e.stream == "order-1042" and e.type == "OrderPlaced")
        # What the handlers read lies before: the states the stretch begins with come along.
        self.base, self.placed = placed.position - before, placed.position
        made = envelopes(e for e in past if e.position <= placed.position + AFTER)
        for n in range(0, len(made), 10_000):
            append(line, made[n : n + 10_000], now=NOW)
        self.line = log.line(line.slug)

    def position(self, **wanted: Any) -> int:
        """Return the position of the first entry with these fields."""
        for e in log.read(self.line, after=self.placed - 1, limit=5000):
            attempt = wanted.get("attempt")
            fields = {name: value for name, value in wanted.items() if name != "attempt"}
            if all(getattr(e, name) == value for name, value in fields.items()) and (
                attempt is None or f'"attempt":{attempt},'.encode() in (e.data or b"")
            ):
                return e.position
        raise AssertionError(f"nothing like {wanted}")

    def run(self, edits: list[dict[str, Any]], *, check: str = "", **fork: Any) -> Run:
        """Make a sandbox with these edits and run it to its end."""
        made = forks.create(self.line, base=fork.pop("base", self.base), edits=edits, **fork)
        run = forks.start(self.line, made, check=check)
        claimed = jobs.claim(run.pk)
        assert claimed is not None
        return jobs.work(claimed)

    @property
    def redelivery(self) -> dict[str, Any]:
        """The edit that skips the second delivery of order-1042 to payments."""
        second = self.position(
            kind="delivery", source="payments", cause=self.placed, attempt=2
        )  # fmt: skip
        return {"op": "skip", "position": second}


@pytest.fixture
def story(line: Line, settings: Any) -> Story:
    """The planted order alone."""
    settings.CODE = SERVICES
    return Story(line, story_log(), 1)


@pytest.mark.slow
def test_the_story_among_everything_else(line: Line, settings: Any) -> None:
    settings.CODE = SERVICES
    wide = Story(line, shop_log(21, rate=12.0), BEFORE)
    without_the_redelivery(wide)
    the_bug_fixed_by(wide, FIXED, "in a process with walls")
    every_delivery_twice(wide)


def types(found: dict[str, Any], verdict: str) -> list[str]:
    return [
        (row["original"] or row["sandbox"])["type"]
        for row in found["events"] if row["verdict"] == verdict
    ]  # fmt: skip


def state_of(found: dict[str, Any], stream: str) -> dict[str, tuple[Any, Any]]:
    changes = next(s["changes"] for s in found["states"] if s["stream"] == stream)
    return {c["path"]: (c.get("before"), c.get("after")) for c in changes}


def test_the_story(story: Story) -> None:
    """One test, because the past takes long to store: the redelivery, a payload, the checks."""
    without_the_redelivery(story)
    a_changed_payload(story)
    the_bug_fixed_by(story, whole(), "in the interpreter")
    every_delivery_twice(story)
    nothing_edited_is_nothing_changed(story)


@pytest.mark.slow
def test_the_story_runs_anywhere(story: Story, tmp_path: Path) -> None:
    a_folder_runs_anywhere(story, tmp_path)


def without_the_redelivery(story: Story) -> None:
    run = story.run([story.redelivery])
    assert (run.status, run.error) == ("finished", "")
    found = comparison(run)

    assert types(found, "missing") == [
        "PaymentAuthorized", "PaymentCaptured", "StockReserved", "EmailSent",
    ]  # fmt: skip
    assert types(found, "new") == ["StockReleased"]
    assert (found["changed"], found["unexpected"]) == (0, 0)
    assert state_of(found, "stock-SKU7")["/available"] == (-1, 0)
    assert run.result is not None
    assert run.result["self"]["different"] == 0
    calls = {c["call"]: (c["recorded"], c["sandbox"]) for c in found["calls"]}
    assert calls["acquire/capture"][0] - calls["acquire/capture"][1] == 1
    assert "All 5 differences descend from the edits." in found["verdict"]
    names = [(f["name"], f["before"], f["after"]) for f in run.result["figures"]]
    assert names[:2] == [("stock-SKU7.available", "−1", "0"), ("PaymentCaptured", "1 gone", "")]


def a_changed_payload(story: Story) -> None:
    placed = log.event(story.line, story.placed)
    assert placed is not None
    data = placed.value()
    data["lines"][0]["qty"] = 2
    edit = {"op": "change", "position": story.placed, "data": data}

    stopped = story.run([edit])
    assert stopped.status == "stopped"
    assert stopped.wanted is not None
    assert stopped.wanted["call"] == "wms/allocate"

    run = story.run([edit], options={"missing": "nearest"})
    found = comparison(run)
    assert run.status == "finished"
    assert state_of(found, "stock-SKU7")["/available"] == (-1, -3)
    assert found["unexpected"] == 0


FIXED = """
from evdebug.sdk import subscriber
from examples.shop.services import payments

@subscriber("payments", to="OrderPlaced")
def authorize(event, ctx):
    if ctx.state(event.data["order"]).get("status", "placed") != "placed":
        ctx.skip("this order is paid")
        return
    yield from payments.authorize(event, ctx)
"""


def whole() -> str:
    """Return payments as it is on disk, with the same fix: nothing else of the disk is needed."""
    text = (ROOT / "examples" / "shop" / "services" / "payments.py").read_text()
    begins = "    order = event.data\n"
    fix = (
        '    if ctx.state(event.data["order"]).get("status", "placed") != "placed":\n'
        '        ctx.skip("this order is paid")\n        return\n'
    )
    assert text.count(begins) >= 1
    return text.replace(begins, fix + begins, 1)


def the_bug_fixed_by(story: Story, source: str, by: str) -> None:
    assert codes.runs_by(source).startswith(by)
    run = story.run([], code={"payments": {"source": source}})
    assert (run.status, run.error) == ("finished", "")
    found = comparison(run)

    assert types(found, "missing") == [
        "PaymentAuthorized", "PaymentCaptured", "StockReserved", "EmailSent",
    ]  # fmt: skip
    assert state_of(found, "stock-SKU7")["/available"] == (-1, 0)
    assert found["unexpected"] == 0


def every_delivery_twice(story: Story) -> None:
    run = story.run([], check="twice")
    assert (run.status, run.error) == ("finished", "")
    assert run.result is not None
    again = {(t["service"], t["type"]) for t in run.result["twins"] if t["again"]}
    tried = {(t["service"], t["type"]) for t in run.result["twins"]}

    assert {("payments", "OrderPlaced"), ("payments", "PaymentAuthorized")} <= again
    assert {service for service, _ in tried} >= {"orders", "shipping", "inventory"}
    # orders, shipping and web know a repeat when they see one; stock arriving twice is counted
    # twice, a supplier is asked twice, and a mail is sent twice.
    assert {service for service, _ in again} <= {"payments", "email", "inventory"}
    kept = {type for service, type in again if service == "inventory"}
    assert kept <= {"GoodsArrived", "ReorderStock"}


def nothing_edited_is_nothing_changed(story: Story) -> None:
    one, two = story.run([]), story.run([])
    assert one.status == two.status == "finished"
    assert one.result is not None
    assert two.result is not None
    assert one.result["digest"] == two.result["digest"]
    assert comparison(one)["events"] == []

    original = log.read(story.line, after=story.base, limit=5000)
    copy = log.read(log.line_of(one.timeline), after=story.base, limit=5000)
    names = ("id", "kind", "type", "source", "stream", "time", "cause", "data", "metadata")
    same = [[getattr(e, name) for name in names] for e in original]
    assert [[getattr(e, name) for name in names] for e in copy] == same


def a_folder_runs_anywhere(story: Story, tmp_path: Path) -> None:
    run = story.run([story.redelivery])
    found = comparison(run)
    folder = tmp_path / "run"
    numbers = ("same", "changed", "missing", "new", "unexpected")
    plain = portable.export(run, tmp_path / "plain")
    wanted = portable.export(run, folder, Redactor(parse("hash ~email"), b"k"))
    for each in (plain, wanted):
        assert [getattr(each, n) for n in numbers] == [found[n] for n in numbers]
    assert b"@" in (tmp_path / "plain" / "events.ndjson").read_bytes()
    assert not [p for p in folder.iterdir() if b"@" in p.read_bytes()]
    states = {s: {c["path"]: c.get("after") for c in steps} for s, steps in plain.states}
    assert states["stock-SKU7"]["/available"] == 0

    def elsewhere(code: str) -> subprocess.CompletedProcess[str]:
        ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
        known = {n: v for n, v in os.environ.items() if n not in ours}
        return subprocess.run(
            [sys.executable, "manage.py", "replay", "--folder", str(folder)], text=True,
            env=known | {"EVDEBUG_DATA": str(tmp_path / "empty"), "EVDEBUG_CODE": code},
            capture_output=True, cwd=ROOT, timeout=300, check=False,
        )  # fmt: skip

    same = elsewhere(SERVICES[0])
    assert (same.returncode, same.stdout) == (0, ""), same.stderr
    assert "as expected" in same.stderr
    lost = elsewhere("")
    assert lost.returncode == 2
    assert "There is no handler of" in lost.stderr
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"edits": []}))
    wanted_no_more, now = portable.rerun(folder)
    assert wanted_no_more == wanted
    assert now.differences == []
