"""Today's reducers against history: what still folds, what comes out otherwise, what breaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.projections.commands.codes import keep_code
from apps.projections.queries import sources
from apps.projections.queries.against import Step, verdict
from apps.sandbox.commands import forks, jobs
from apps.sandbox.models import Run
from tests.conftest import Log
from tests.factories import envelope
from tests.sandbox.test_api import replay

pytestmark = pytest.mark.django_db

Write = Callable[[str], None]
CODE = """
from evdebug.sdk import reducer, upcast

@reducer("order", streams="order-*")
def order(state, event):
    return {"n": (state or {"n": 0})["n"] + event.data["n"]}

@reducer("customer", key=lambda event: event.data["customer"] if event.type == "Placed" else None)
def customer(state, event):
    return {"orders": (state or {"orders": 0})["orders"] + 1}

@upcast("Old", from_version=1)
def old(data):
    return {"n": data["amount"]}
"""


@pytest.fixture
def write(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the module that EVDEBUG_CODE names."""
    name = f"subject_{os.urandom(4).hex()}"
    monkeypatch.chdir(tmp_path)
    settings.CODE = (name,)

    def module(text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    yield module
    for child in sources._runners.values():
        child.close()
    sources._runners.clear()
    sources._kept.clear()


@pytest.fixture
def orders(log: Log) -> Log:
    """Two orders: what was placed, with an old event and one that never folded."""
    log.append(
        envelope(stream="order-1", type="Placed", data={"n": 2, "customer": "c-1"}),
        envelope(stream="order-1", type="Old", data={"amount": 5}),
        envelope(stream="order-2", type="Placed", data={"n": 3}),
        envelope(stream="order-1", type="Added", data={"n": 1}),
        envelope(stream="order-1", type="Odd", data={"m": 1}),
        envelope(stream="order-1", type="Added", data={"n": 1}),
        envelope(stream="order-1", type="Noted", data={"n": 0}),
    )
    return log


def checked(log: Log, base: int = 0) -> Run:
    fork = forks.create(log.line, base=base)
    run = jobs.claim(forks.start(log.line, fork, check="folds").pk)
    assert run is not None
    return jobs.work(run)


def rows(run: Run) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    assert run.result, run.error
    return {
        (r["projection"], r["type"]): (r["fine"], r["changed"], r["broken"], r["position"])
        for r in run.result["folds"]
    }


def test_without_code_before_an_event_is_fine_or_broken(orders: Log, write: Write) -> None:
    write(CODE)
    run = checked(orders)
    assert run.status == "finished"
    assert rows(run) == {
        ("order", "Placed"): (2, 0, 0, 0),
        ("order", "Old"): (1, 0, 0, 0),
        ("order", "Added"): (2, 0, 0, 0),  # one of them after the event that breaks
        ("order", "Odd"): (0, 0, 1, 5),
        ("order", "Noted"): (1, 0, 0, 0),
        ("customer", "Placed"): (1, 0, 1, 3),
    }
    assert run.result
    assert run.result["folds"][0]["text"] == "KeyError: 'customer'"
    assert run.result["head"] == "2 folds break."


def test_changed_code_is_held_against_the_code_before(orders: Log, write: Write) -> None:
    write(CODE)
    sources.projections(orders.line)  # as whoever looks at a state does: what it was stays
    write(CODE.replace('+ event.data["n"]', '+ (7 if event.type == "Old" else event.data["n"])'))
    found = rows(checked(orders))
    assert found["order", "Placed"] == (2, 0, 0, 0)
    assert found["order", "Old"] == (0, 1, 0, 2)
    assert found["order", "Added"][:3] == (0, 2, 0)  # the sum they lead to is another
    assert found["order", "Noted"] == (1, 0, 0, 0)  # it changed nothing then, and nothing now


def test_from_the_fork_point_the_states_go_on(orders: Log, write: Write) -> None:
    guard = 'if event.position == 4: assert state == {"n": SUM}, state\n    return {"n"'
    write(CODE.replace('return {"n": (', guard.replace("SUM", "7") + ": ("))
    assert rows(checked(orders, base=3))["order", "Added"] == (2, 0, 0, 0)
    write(CODE.replace('return {"n": (', guard.replace("SUM", "0") + ": ("))
    assert rows(checked(orders, base=3))["order", "Added"][2:] == (1, 4)


def test_code_that_hangs_or_ends_is_told_and_bounded(
    orders: Log, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = 'import os\n    if event.type == "Old": os._exit(3)\n    return {"n": 1}'
    write(CODE.replace('return {"n": (state or {"n": 0})["n"] + event.data["n"]}', broken))
    found = rows(checked(orders))
    assert found["order", "Old"] == (0, 0, 1, 2)
    assert found["order", "Added"] == (2, 0, 0, 0)
    keys = CODE.replace("else None)", 'else os._exit(3) if event.type == "Noted" else None)')
    write("import os\n" + keys)
    found = rows(checked(orders))
    assert found["customer", "Noted"] == (0, 0, 1, 7)
    assert found["customer", "Placed"] == (1, 0, 1, 3)
    monkeypatch.setattr("apps.projections.queries.against.STOPS", 0)
    run = checked(orders)
    assert run.status == "failed"
    assert "ended its process or hung" in run.error


def test_code_typed_in_the_browser_is_held_against_what_it_was(orders: Log) -> None:
    source = "def reducer(state, event):\n    return {'seen': event.type}"
    keep_code(orders.line, "seen", source, streams="order-1", owner=1)
    keep_code(orders.line, "seen", source.replace("event.type", "event.type.lower()[:3]"),
              streams="order-1", owner=1)  # fmt: skip
    found = rows(checked(orders))
    assert found["seen", "Old"] == (0, 1, 0, 2)
    assert ("seen", "Odd") in found


def test_modules_that_cannot_be_run_and_none(orders: Log, write: Write) -> None:
    write("import nothing_like_it")
    run = checked(orders)
    assert (run.status, "nothing_like_it" in run.error) == ("failed", True)
    write("")
    run = checked(orders)
    assert (run.status, "no reducers" in run.error) == ("failed", True)


def test_the_command_exits_with_what_came_of_it(orders: Log, write: Write) -> None:
    write(CODE)
    code, text = replay(orders, "--base", "0", "--check", "folds")
    assert code == 1
    assert "order Odd version 1: 0 fine, 0 changed, 1 broken; #5: KeyError: 'n'" in text
    assert replay(orders, "--base", "5", "--check", "folds")[0] == 0
    write("import nothing_like_it")
    assert replay(orders, "--base", "5", "--check", "folds")[0] == 2


@pytest.mark.parametrize(
    ("now", "then", "word"),
    [
        (Step(None, '{"a":1}'), None, "fine"),
        (Step(None, None, "KeyError"), Step(None, '{"a":1}'), "broken"),
        (Step(None, '{"a":1,"b":2}'), Step(None, '{"b":2,"a":1}'), "fine"),
        (Step('{"a":1}', '{"a":1,"b":2}'), Step('{"a":9}', '{"a":9,"b":2}'), "fine"),
        (Step('{"a":1}', '{"a":1,"b":2}'), Step('{"a":9}', '{"a":9,"b":3}'), "changed"),
        (Step('{"a":1}', '{"a":2}'), Step('{"a":1}', None, "KeyError"), "changed"),
        (Step('{"a":1}', "null"), Step('{"a":1}', '{"a":1}'), "changed"),
    ],
)
def test_a_verdict(now: Step, then: Step | None, word: str) -> None:
    assert verdict(now, then)[0] == word
