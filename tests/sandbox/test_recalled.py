"""What copies outside did, kept in a folder that runs again without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apps.ingest.redact import Redactor, parse
from apps.sandbox import recalled
from apps.sandbox.commands import forks, portable
from apps.sandbox.emissions import Stopped
from apps.sandbox.errors import BadRecipe
from apps.sandbox.models import Run
from apps.sandbox.outcome import Outcome, Said, Task
from apps.sandbox.queries.comparison import comparison
from apps.sandbox.recalled import Recalled, kept
from tests.conftest import Log
from tests.sandbox.test_folder import command
from tests.sandbox.test_targets import Act, Copy, done, mailed
from tests.sandbox.test_targets import mails as mails
from tests.sandbox.test_targets import serve as serve

COUNTS = ("same", "changed", "missing", "new", "unexpected")


def task(n: int = 1, attempt: int = 1, **more: Any) -> Task:
    event = {
        "id": f"e{n}", "type": "Placed", "source": "/web", "stream": "order-1", "time": 1000,
        "kind": "event", "key": "", "correlation": "", "causation": "", "data": {"n": n},
    }  # fmt: skip
    return Task("mailer", event | more, attempt, 5)


def said(text: str) -> Outcome:
    return Outcome(
        said=[Said("Mailed", "mail-1", msgspec.Raw(b'{\n "to": "' + text.encode() + b'"}'))]
    )


def test_the_same_event_in_the_same_attempt_comes_to_the_same() -> None:
    outcomes = [kept(task(), Outcome("failed", "closed")), kept(task(attempt=2), said("a")),
                kept(task(), said("b"))]  # fmt: skip
    hosts = Recalled(msgspec.json.decode(msgspec.json.encode(outcomes), type=list[recalled.Kept]))
    world: Any = None
    assert hosts.run(task(attempt=2), world) == said("a")
    assert hosts.run(task(), world) == Outcome("failed", "closed")
    assert hosts.run(task(), world) == said("b")
    assert hosts.done == [outcomes[1], outcomes[0], outcomes[2]]


@pytest.mark.parametrize(
    "other", [task(2), task(attempt=2), task(data={"n": 2}), task(stream="order-2")]
)
def test_what_it_does_with_another_is_not_known(other: Task) -> None:
    with pytest.raises(Stopped, match="was not handed this Placed") as stopped:
        Recalled([kept(task(), said("a"))]).run(other, None)  # type: ignore[arg-type]
    assert not stopped.value.again


def test_by_its_id_alone_where_it_was_redacted() -> None:
    hosts = Recalled([kept(task(), said("a"))], by_id=True)
    other = task(data={"n": "***"})
    assert hosts.run(other, None) == said("a")  # type: ignore[arg-type]
    assert hosts.done == [kept(other, said("a"))]


def test_redaction_takes_out_of_it_what_it_takes_elsewhere() -> None:
    rules = Redactor(parse("mask to; mask data.to; mask ~email"), b"k")
    outcome = said("a")
    outcome.error, outcome.said[0].stream = "no a@b.example", "a@b.example"
    found = recalled.redacted(kept(task(), outcome), rules)
    assert "b.example" not in str(found)
    assert '"a"' not in found.said[0].data


@pytest.mark.parametrize("choice", [{"kept": 5}, {"kept": [], "http": "http://x"}])
def test_a_choice_that_cannot_be_meant(choice: Any) -> None:
    with pytest.raises(BadRecipe, match="code of 'a'"):
        recalled.parted({"a": choice})


@pytest.mark.django_db
def test_it_is_for_folders_alone(mails: Log) -> None:
    with pytest.raises(BadRecipe, match="code of 'mailer'"):
        forks.create(mails.line, base=0, code={"mailer": {"kept": ["Placed"]}})


@pytest.fixture
def run(mails: Log, serve: Callable[[Act], Copy]) -> Run:
    """A run with a copy that says otherwise of the second order, then is gone."""
    copy = serve(lambda event: mailed(event, to=event["data"]["n"] * 10))
    edits = [{"op": "change", "position": 4, "data": {"n": 7, "card": "4111"}}]
    made = forks.create(mails.line, base=0, code={"mailer": {"http": copy.url}}, edits=edits)
    assert done(mails, made, "dry").status == "finished"
    run = done(mails, made)
    copy.close()
    assert run.status == "finished"
    return run


@pytest.mark.django_db
@pytest.mark.parametrize("rules", ["", "mask data.card; mask data.to"])
def test_a_run_with_a_copy_runs_anywhere(rules: str, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    wanted = portable.export(run, folder, Redactor(parse(rules), b"k"))
    found = comparison(run)
    if not rules:
        assert {n: getattr(wanted, n) for n in COUNTS} == {n: found[n] for n in COUNTS}
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["code"] == {"mailer": {"kept": ["Placed"]}}
    assert len((folder / "outcomes.ndjson").read_text().splitlines()) == 3
    assert ("4111" in (folder / "recipe.json").read_text()) is not bool(rules)
    assert portable.rerun(folder) == (wanted, wanted)
    assert command(folder) == (0, "")


@pytest.mark.django_db
def test_a_folder_that_was_changed_says_what_is_not_known(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    portable.export(run, folder)
    lines = (folder / "outcomes.ndjson").read_text().splitlines()
    (folder / "outcomes.ndjson").write_text("\n".join(lines[:1]) + "\n")
    code, words = command(folder)
    assert code == 2
    assert "The run stops after #" in words
    assert "was not handed this Placed" in words
    (folder / "outcomes.ndjson").write_text(lines[0].replace('"data":"', '"data":"{'))
    assert "outcomes.ndjson line 1: data of Mailed is not JSON" in command(folder)[1]


@pytest.mark.django_db
def test_code_stands_in_for_the_copy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    portable.export(run, folder)
    (tmp_path / "own_mailer.py").write_text(
        "from evdebug.sdk import New, subscriber\n\n\n"
        "@subscriber('mailer', to='Placed')\ndef mail(event, ctx):\n"
        "    yield New('Mailed', f'mail-{event.data[\"n\"]}', {'to': 'mine'})\n"
    )
    monkeypatch.chdir(tmp_path)
    wanted, found = portable.rerun(folder, code="own_mailer")
    assert wanted is not None
    assert found.digest != wanted.digest
    assert {d.type for d in found.differences} >= {"Mailed"}
