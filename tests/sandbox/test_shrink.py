"""The smallest history and recipe that still fail, in the shop and in a small history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.sandbox.answers import Answer
from apps.sandbox.commands import forks, jobs
from apps.sandbox.models import Run
from apps.sandbox.outcome import Outcome, Said, Task, World
from apps.sandbox.parts import Parts
from apps.sandbox.remembering import Remembering
from tests.conftest import Log
from tests.factories import NOON
from tests.sandbox.history import Bench, shop_log, story_log
from tests.sandbox.test_story import FIXED, SERVICES, Story

EXPRESSION = "stock-SKU7.available < 0"


def shrunk(line: Line, base: int, **recipe: Any) -> Run:
    run = forks.start(line, forks.create(line, base=base, **recipe), check="shrink")
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    return jobs.work(claimed)


def kept(run: Run) -> dict[str, Any]:
    assert (run.status, run.error) == ("finished", "")
    assert run.result is not None
    found: dict[str, Any] = run.result["shrunk"]
    return found


@pytest.fixture
def counts(log: Log) -> Log:
    """Twenty counts of things; the total of `a` passes 10 with the 7th."""
    for n in range(20):
        log.add(type="Counted", source="/c", stream="a" if n % 2 else "b", time=NOON + n,
                data={f"n{n}": n}, correlation=f"c-{n}")  # fmt: skip
    return log


@pytest.mark.django_db
def test_it_works(counts: Log) -> None:
    edits = [
        {"op": "change", "position": 4, "data": {"n3": 100}},
        {"op": "change", "position": 8, "data": {"n7": 50}},
        {"op": "skip", "position": 11},
        {"op": "skip", "position": 12, "on": False},
    ]
    stop = "has(a.n5) && a.n3 > 50 && has(b.n6)"
    found = kept(shrunk(counts.line, 0, edits=edits, options={"stop_when": stop}))
    assert found["inputs"] == [4, 6, 7]
    assert [e["position"] for e in found["edits"]] == [4]
    assert not found["over"]


@pytest.mark.django_db
def test_what_does_not_fail(counts: Log) -> None:
    run = shrunk(counts.line, 0, options={"stop_when": "a.n3 > 1000"})
    assert (run.status, "It does not fail" in run.error) == ("failed", True)


@pytest.mark.django_db
def test_an_edit_is_the_least_that_differs(counts: Log) -> None:
    edits = [{"op": "change", "position": 8, "data": {"x": 1}}, {"op": "repeat", "position": 4}]
    found = kept(shrunk(counts.line, 2, edits=edits))
    assert len(found["inputs"]) == len(found["edits"]) == 1
    assert found["inputs"] == [found["edits"][0]["position"]]


@pytest.mark.django_db
def test_the_command(counts: Log, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    slug = counts.line.slug
    words = ["replay", slug, "--base", "0", "--shrink", "has(a.n5) && has(b.n6)"]
    with pytest.raises(SystemExit) as ended:
        call_command(*words, "--export", str(tmp_path / "least"))
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == ["#6 Counted a", "#7 Counted b"]
    assert "2 of 20 inputs are enough." in said.err
    lines = (tmp_path / "least" / "events.ndjson").read_text().splitlines()
    assert len(lines) == 2
    call_command("replay", "--folder", str(tmp_path / "least"))
    with pytest.raises(CommandError, match="does not fail"):
        call_command("replay", slug, "--base", "0", "--shrink", "differs")
    with pytest.raises(CommandError, match="stop_when"):
        call_command("replay", slug, "--base", "0", "--shrink", "a b")


@pytest.mark.slow
@pytest.mark.django_db
def test_the_story_in_small(line: Line, settings: Any) -> None:
    """Of all flows around SKU7, one order and what it left of the stock."""
    settings.CODE = SERVICES
    story = Story(line, story_log(), 1)
    found = kept(shrunk(story.line, story.base, options={"stop_when": EXPRESSION}))
    assert 1 <= len(found["inputs"]) <= 8
    assert story.placed in found["inputs"]

    fixed = kept(shrunk(story.line, story.base, code={"payments": {"source": FIXED}}))
    (only,) = fixed["inputs"]
    entry = log.event(story.line, only)
    assert entry is not None
    assert entry.type == "OrderPlaced"


@pytest.mark.django_db
def test_copies_outside_are_left_alone(counts: Log) -> None:
    code = {"c": {"http": "http://127.0.0.1:1/", "types": ["Counted"]}}
    assert "copy outside" in shrunk(counts.line, 0, code=code).error


def test_parts_are_all_of_it_once() -> None:
    recording = Bench(shop_log(4), base=3_000, until=5_000).recording
    parts = Parts(recording)
    assert sorted(p for some in parts.entries.values() for p in some) == list(recording.entries)
    assert sorted(p for flow in parts.flows(parts.inputs) for p in flow) == parts.inputs
    assert all(entries[0] == at for at, entries in parts.entries.items())
    again = parts.kept(parts.inputs)
    assert again.entries == recording.entries
    assert again.executions == recording.executions


class Once:
    """A host that counts, and says what it was told."""

    def __init__(self) -> None:
        self.ran = 0

    def run(self, task: Task, world: World) -> Outcome:
        self.ran += 1
        told = [world.state("s").decode()]
        answer = world.call("a", {"n": task.event["n"]})
        told.append(str(answer and answer.response))
        if answer and answer.response == 2:
            told.append(str(world.call("b", {})))
        return Outcome(said=[Said("T", "s", _raw(told))])


def _raw(value: Any) -> Any:
    return msgspec.Raw(msgspec.json.encode(value))


class Told:
    """A world that answers from a list and counts what is taken."""

    def __init__(self, state: bytes, *answers: int) -> None:
        self.kept, self.answers = state, list(answers)

    def state(self, stream: str) -> bytes:
        return self.kept

    def call(self, name: str, request: Any) -> Answer | None:
        return Answer(self.answers.pop(0)) if self.answers else None

    def expected(self) -> list[tuple[str, str, Answer]]:
        return []


@pytest.mark.parametrize(
    ("first", "second", "ran"),
    [
        (Told(b"{}", 1), Told(b"{}", 1), 1),
        (Told(b"{}", 1), Told(b'{"x":1}', 1), 2),
        (Told(b"{}", 1), Told(b"{}", 2, 7), 2),
        (Told(b"{}", 2, 7), Told(b"{}", 2, 8), 2),
        (Told(b"{}", 2, 7), Told(b"{}", 2, 7), 1),
        (Told(b"{}", 1), Told(b"{}"), 2),
    ],
)
def test_what_was_done_is_done_again_only_where_it_may_differ(
    first: Told, second: Told, ran: int
) -> None:
    host, task = Once(), Task("s", {"n": 1}, 1, NOON)
    remembering = Remembering(host)
    remembering.run(task, first)
    plain = Told(second.kept, *second.answers)
    assert remembering.run(task, second) == Once().run(task, plain)
    assert (host.ran, second.answers) == (ran, plain.answers)


def test_what_is_remembered_is_bounded() -> None:
    remembering = Remembering(Once(), size=3000)
    for _ in range(2):
        for n in range(20):
            remembering.run(Task("s", {"n": n}, 1, NOON), Told(b"{}", 1))
    assert remembering.ran == 40
    assert remembering._held <= 3000
