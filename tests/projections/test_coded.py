"""Reducers in modules of somebody's own: run in a child process, with everything they may do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.projections.errors import BrokenCode, StillFolding, UnknownProjection
from apps.projections.models import Snapshot
from apps.projections.queries import coded, sources
from apps.projections.queries.histories import history
from apps.projections.queries.states import diff, state_at
from apps.projections.runner import Runner, Stopped
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db

Write = Callable[..., None]
GOOD = """
from evdebug.sdk import DELETED, reducer, upcast

@reducer("order", streams="order-*", version=2)
def order(state, event):
    if event.type == "Gone":
        return DELETED
    return {"n": (state or {"n": 0})["n"] + event.data["n"], "seen": event.type}

@reducer("totals", key=None)
def totals(state, event):
    return {"all": (state or {"all": 0})["all"] + event.data.get("n", 0)}

@reducer("customer", key=lambda event: event.data.get("customer"))
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


def reducer(body: str, start: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f"from evdebug.sdk import reducer\n{start}\n"
        f'@reducer("r", streams="a")\ndef r(state, event):\n{lines}\n'
    )


def three(log: Log) -> None:
    log.append(*[envelope(stream="a", data={"n": n}) for n in (1, 2, 3)])


def test_a_state_by_code(log: Log, write: Write) -> None:
    write(GOOD)
    log.append(
        envelope(stream="order-1", type="Placed", data={"n": 2}),
        envelope(stream="order-1", type="Old", data={"amount": 5}),
        envelope(stream="order-1", type="Paid", data={"n": 1}, kind="command"),
    )
    found = state_at(log.line, "order-1", projection="order", marks=True)
    assert found.state == {"n": 7, "seen": "Old"}
    assert found.marks == {"n": 2, "seen": 2}
    assert found.fingerprint.startswith("order@")
    assert state_at(log.line, "order-1", projection="order", at=1).state["n"] == 2
    assert state_at(log.line, "order-1").state["n"] == 2  # merged
    log.add(stream="order-1", type="Gone", data={})
    assert state_at(log.line, "order-1", projection="order").state is None


def test_read_models_across_streams(log: Log, write: Write) -> None:
    write(GOOD)
    log.append(
        envelope(stream="order-1", data={"n": 2, "customer": "c-1"}),
        envelope(stream="order-2", data={"n": 3, "customer": "c-2"}),
        envelope(stream="order-3", data={"n": 4, "customer": "c-1"}),
    )
    assert state_at(log.line, "all", projection="totals").state == {"all": 9}
    assert state_at(log.line, "c-1", projection="customer").state == {"orders": 2}
    assert state_at(log.line, "c-1", projection="customer", at=2).state == {"orders": 1}


def test_diff_and_history_by_code(log: Log, write: Write) -> None:
    write(GOOD)
    for n in (1, 0, 5):
        log.add(stream="order-1", type="Placed", data={"n": n})
    steps = diff(log.line, "order-1", before=1, after=3, projection="order")
    assert [(s.path, s.before, s.after) for s in steps] == [("/n", 1, 6)]
    found = history(log.line, "order-1", field="/n", projection="order")
    assert [(e.position, e.value) for e in found.entries] == [(1, 1), (3, 6)]


def test_snapshots_change_no_answer(log: Log, write: Write) -> None:
    write(GOOD)
    log.append(*[envelope(stream="order-1", type="P", data={"n": 1}) for _ in range(1000)])
    cold = state_at(log.line, "order-1", projection="order", marks=True)
    assert Snapshot.objects.exists()
    warm = state_at(log.line, "order-1", projection="order", marks=True)
    assert (warm.state, warm.marks) == (cold.state, cold.marks)
    assert (cold.state, cold.marks) == ({"n": 1000, "seen": "P"}, {"n": 1000, "seen": 1})
    assert warm.cost.folded < cold.cost.folded == 1000
    found = history(log.line, "order-1", field="/n", projection="order", limit=5000)
    assert len(found.entries) == 1000


def test_changed_code_reads_no_old_snapshot(log: Log, write: Write) -> None:
    write(GOOD)
    log.append(*[envelope(stream="order-1", type="P", data={"n": 1}) for _ in range(500)])
    first = state_at(log.line, "order-1", projection="order")
    write(GOOD.replace('+ event.data["n"]', '+ 2 * event.data["n"]'))
    second = state_at(log.line, "order-1", projection="order")
    assert (first.state["n"], second.state["n"]) == (500, 1000)
    assert second.cost.snapshot is None
    assert first.fingerprint != second.fingerprint
    write(GOOD)
    again = state_at(log.line, "order-1", projection="order")
    assert again.fingerprint == first.fingerprint
    assert again.cost.snapshot is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return {'n': state['n'] + 1} if event.position > 2 else {'x': 1}", "KeyError: 'n'"),
        ("if event.position == 3: return None\nreturn {}", "returned None"),
        ("if event.position == 3: return {1, object()}\nreturn {}", "JSON cannot hold"),
        ("if event.position == 3:\n    a = []; a.append(a); return a\nreturn {}", "itself"),
        ("if event.position == 3: return 'x' * 100_000_000\nreturn {}", "a state has at most"),
        ("if event.position == 3: return 'x' * 10**12\nreturn {}", "MemoryError"),
        ("if event.position == 3: import socket; socket.socket()\nreturn {}", "open a socket"),
        ("if event.position == 3: open('/tmp/x', 'w')\nreturn {}", "may not write files"),
        ("if event.position == 3: import os; os.fork()\nreturn {}", "start a process"),
        ("if event.position == 3: import os; os.system('ls')\nreturn {}", "may not"),
        ("if event.position == 3: import os; os._exit(0)\nreturn {}", "process ended"),
        ("if event.position == 3: raise SystemExit\nreturn {}", "process ended"),
        ("if event.position == 3: 1 / 0\nreturn {}", "ZeroDivisionError"),
        ("if event.position == 3:\n    def f(): f()\n    f()\nreturn {}", "RecursionError"),
    ],
)
def test_what_goes_wrong_is_a_value(log: Log, write: Write, body: str, words: str) -> None:
    write(reducer(body))
    three(log)
    found = state_at(log.line, "a", projection="r")
    assert words in found.error
    assert (found.broken, found.last) == (3, 2)
    assert found.state in ({}, {"x": 1})
    before = state_at(log.line, "a", projection="r", at=2)
    assert (before.error, before.state) == ("", found.state)
    log.add(stream="a", data={})
    assert state_at(log.line, "a", projection="r").error.startswith("Interrupted at #3")


def test_a_reducer_that_never_returns_is_stopped(
    log: Log, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner.ask, "__kwdefaults__", {"seconds": 0.7})
    write(reducer("while event.position == 3: pass\nreturn {'n': event.position}"))
    three(log)
    begun = time.monotonic()
    found = state_at(log.line, "a", projection="r")
    assert time.monotonic() - begun < 8
    assert "did not return" in found.error
    assert (found.broken, found.state) == (3, {"n": 2})


def test_nobody_waits_for_a_reducer_that_hangs(log: Log, write: Write) -> None:
    write(reducer("while event.position == 3: pass\nreturn {'n': event.position}"))
    three(log)
    child = sources.runner()
    assert child is not None
    known = child.describe()
    event = {"id": "i", "type": "t", "source": "s", "stream": "a", "data": {}, "time": 0,
             "position": 3}  # fmt: skip
    request = {"reducer": "r", "key": "a", "position": 0, "state": None, "marks": None,
               "events": [event], "every": False}  # fmt: skip
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(child.ask, request, seconds=3)
        while child._jail.at() != 3:
            time.sleep(0.01)
        assert child.describe() == known
        assert not hanging.done()
        with pytest.raises(Stopped):
            hanging.result()


def test_a_look_that_takes_too_long_goes_on_at_the_next(
    log: Log, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded, "LOOK_S", 0)
    write(reducer("return {'n': (state or {'n': 0})['n'] + 1}"))
    log.append(*[envelope(stream="a", data={}) for _ in range(900)])
    seen = [state_at(log.line, "a", projection="r") for _ in range(3)]
    assert [found.state["n"] for found in seen] == [400, 800, 900]
    assert "look again" in seen[0].error
    assert seen[2].error == ""


def test_the_child_outlives_the_thread_that_started_it(log: Log, write: Write) -> None:
    write(reducer("return {'n': event.position}"))
    three(log)
    child = sources.runner()
    assert child
    with ThreadPoolExecutor(1) as thread:
        assert list(thread.submit(child.describe).result()) == ["r"]
    pid = child._jail._process.pid  # type: ignore[union-attr]
    time.sleep(0.2)  # in which the kernel would have ended it
    assert state_at(log.line, "a", projection="r").state == {"n": 3}
    assert child._jail._process.pid == pid  # type: ignore[union-attr]


@pytest.mark.parametrize(("stream", "projection"), [("a-1", "r"), ("all", "totals")])
def test_a_fold_may_be_told_to_stop_and_goes_on_from_there(
    log: Log, write: Write, stream: str, projection: str
) -> None:
    write(GOOD.replace('"order", streams="order-*"', '"r", streams="a-*"'))
    log.append(*[envelope(stream="a-1", type="P", data={"n": 1}) for _ in range(900)])
    asked: list[tuple[int, int]] = []

    def tell(began: int, position: int) -> bool:
        asked.append((began, position))
        return False

    for _ in range(2):
        with pytest.raises(StillFolding):
            state_at(log.line, stream, projection=projection, tell=tell)
    assert asked == [(0, 400), (400, 800)]
    found = state_at(log.line, stream, projection=projection, tell=tell)
    assert (found.cost.snapshot, found.cost.folded) == (800, 100)
    assert 900 in found.state.values()


def test_what_it_prints_goes_nowhere(log: Log, write: Write) -> None:
    write(reducer("print('x' * 10_000_000)\nreturn {'n': event.position}"))
    three(log)
    assert state_at(log.line, "a", projection="r").state == {"n": 3}


def test_a_reducer_that_mutates_cannot_change_the_past(log: Log, write: Write) -> None:
    body = "state = state or {'l': []}\nstate['l'].append(event.position)\n"
    write(reducer(body + "if event.position == 3: raise ValueError('late')\nreturn state"))
    three(log)
    assert state_at(log.line, "a", projection="r").state == {"l": [1, 2]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name", "No module named"),
        ("def (", "SyntaxError"),
        ("raise SystemExit", "SystemExit"),
        ("import os; os._exit(3)", "did not load"),
    ],
)
def test_a_module_that_cannot_be_imported(log: Log, write: Write, text: str, words: str) -> None:
    write(text)
    three(log)
    with pytest.raises(BrokenCode, match=words):
        state_at(log.line, "a", projection="r")
    assert state_at(log.line, "a").state == {"n": 3}  # what needs no code goes on


def test_the_code_that_was_stays_usable(log: Log, write: Write) -> None:
    write(GOOD)
    log.append(*[envelope(stream="order-1", type="P", data={"n": 1}) for _ in range(3)])
    old = state_at(log.line, "order-1", projection="order").fingerprint
    write(GOOD.replace('+ event.data["n"]', '+ 2 * event.data["n"]'))
    now = state_at(log.line, "order-1", projection="order")
    assert now.state["n"] == 6
    assert state_at(log.line, "order-1", projection=old).state["n"] == 3
    assert state_at(log.line, "order-1", projection=old).fingerprint == old
    assert state_at(log.line, "order-1", projection=now.fingerprint).state["n"] == 6
    assert sources.earlier(log.line, "order") == [old]
    write("def (")  # what is broken now breaks nothing that was
    assert state_at(log.line, "order-1", projection=old).state["n"] == 3


def test_a_module_that_is_mended_is_read_again(log: Log, write: Write) -> None:
    three(log)
    for broken in ("def (", "import os; os._exit(3)", "import not_there"):
        write(broken)
        with pytest.raises(BrokenCode):
            state_at(log.line, "a", projection="r")
        write(reducer("return {'n': event.position}"))
        assert state_at(log.line, "a", projection="r").state == {"n": 3}


def test_a_module_called_as_ours_are(log: Log, tmp_path: Path, settings: Any, write: Write) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "__init__.py").write_text("")
    (tmp_path / "apps" / "orders.py").write_text(reducer("return {'n': event.position}"))
    settings.CODE = ("apps.orders",)
    three(log)
    assert state_at(log.line, "a", projection="r").state == {"n": 3}


def test_names_there_are_not(log: Log, write: Write, settings: Any) -> None:
    write(GOOD)
    three(log)
    with pytest.raises(UnknownProjection, match="merge, order, totals"):
        state_at(log.line, "a", projection="nothing")
    with pytest.raises(UnknownProjection):  # it takes other streams
        state_at(log.line, "a", projection="order")
    settings.CODE = ()
    with pytest.raises(UnknownProjection):
        state_at(log.line, "a", projection="order")


def test_the_shops_reducers(log: Log, settings: Any) -> None:
    settings.CODE = ("examples.shop.reducers",)
    log.append(
        envelope(stream="stock-SKU7", data={"available": 3}),
        envelope(stream="stock-SKU7", data={"available": -1}),
        envelope(stream="stock-SKU7", data={"available": 4}),
        envelope(stream="payment-1", type="PaymentCaptured", data={"amount": 7}),
    )
    stock = state_at(log.line, "stock-SKU7", projection="stock").state
    assert stock == {"available": 4, "lowest": -1}
    assert state_at(log.line, "payment-1", projection="payment").state["captures"] == 1
    assert "KeyError: 'refund'" in state_at(log.line, "payment-1", projection="refunds").error
    days = state_at(log.line, "", projection="daily-totals").state
    assert sum(sum(day.values()) for day in days.values()) == 4
    sources._runners.pop(("examples.shop.reducers",)).close()


def test_the_api_and_the_commands_say_what_is_wrong_with_code(
    log: Log, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    three(log)
    secret = create_key(log.line.system, scopes=["read"], by=CONSOLE).secret
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    address, slug = f"/api/v1/{log.line.slug}/state/a", log.line.slug
    write(reducer("if event.position == 3: 1 / 0\nreturn {'n': event.position}"))
    answer = client.get(address, {"projection": "r"}).json()
    assert (answer["state"], answer["broken"]) == ({"n": 2}, 3)
    assert answer["error"].startswith("ZeroDivisionError")
    found = client.post(
        f"/api/v1/{slug}/find", {"stream": "a", "expr": "state.n > 1", "projection": "r"},
        content_type="application/json",
    )  # fmt: skip
    assert found.json()["position"] == 2
    call_command("find", slug, "a", "state.n > 1", projection="r")
    assert capsys.readouterr().out == "2\n"
    write("def (")
    answer = client.get(address, {"projection": "r"})
    assert (answer.status_code, answer.json()["code"]) == (422, "broken_code")
    with pytest.raises(CommandError) as failed:
        call_command("state", slug, "a", projection="r")
    assert failed.value.returncode == 2
