"""Python typed in a browser: what it can do, what it cannot, and that its failures are values."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.projections import blame, typed
from apps.projections.commands.codes import keep_code, retire_code
from apps.projections.errors import BadCode, UnknownProjection
from apps.projections.queries import sources
from apps.projections.queries.histories import history
from apps.projections.queries.states import diff, state_at
from evdebug.sdk.events import Event
from tests.conftest import Log
from tests.factories import envelope

ADDING = """
def reducer(state, event):
    state = state or {"n": 0, "seen": []}
    state["n"] += event.data["n"]
    state["seen"] = [*state["seen"], event.type][-3:]
    return state
"""


def event(position: int, **fields: Any) -> Event:
    made: dict[str, Any] = {
        "id": f"e{position}", "type": "t", "source": "s", "stream": "a", "data": {"n": 1},
        "time": 0, "position": position,
    }  # fmt: skip
    return Event(**(made | fields))


def folded(source: str, events: list[Event], state: str | None = None) -> Any:
    request = {
        "state": state, "position": 0, "marks": [] if state is None else [0], "every": True,
        "events": [dataclasses.asdict(each) for each in events],
    }  # fmt: skip
    return typed.folded(source, request)


def test_a_fold_gives_every_state_and_who_set_it() -> None:
    told = folded(ADDING, [event(3), event(5, type="u")])
    assert (told.position, told.taken, told.error) == (5, 2, "")
    assert told.points == [
        (3, '{"n":1,"seen":["t"]}'),
        (5, '{"n":2,"seen":["t","u"]}'),
    ]
    assert told.marks == [5, 3, 5]


def test_a_fold_goes_on_where_another_ended() -> None:
    events = [event(n, data={"n": n}) for n in range(1, 20)]
    whole = folded(ADDING, events)
    for cut in (1, 7, 18):
        first = folded(ADDING, events[:cut])
        marks = {"marks": first.marks, "state": first.state, "position": first.position}
        request = {"every": False, "events": [dataclasses.asdict(e) for e in events[cut:]]} | marks
        rest = typed.folded(ADDING, request)
        assert (rest.state, rest.marks) == (whole.state, whole.marks)


def test_deleting() -> None:
    told = folded("def reducer(state, event):\n    return DELETED", [event(1)])
    assert (told.state, told.error) == ("null", "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return state['no']", r"TypeError|KeyError"),
        ("1 / 0", r"ZeroDivisionError.*\(line 3\)"),
        ("return None", "returned None"),
        ("return {1, 2}", "not JSON serializable"),
        ("return float('nan')", "not JSON compliant"),
        ("return 'x' * 10**12", "MemoryError"),
        ("return [[]] * 10**7", "MemoryError|process ended|memory"),
        ("return 2 ** (2 ** 40)", "MemoryError"),
        ("a = []\na.append(a)\nreturn a", "Circular|recursion|itself"),
        ("def f(): return f()\nreturn f()", "RecursionError"),
        ("import os\nreturn os.listdir('/')", "PermissionError"),
        ("return open('/etc/passwd').read()", "PermissionError"),
        ("open('/tmp/x', 'w')", "PermissionError"),
        ("import socket", "ModuleNotFoundError"),
        ("import subprocess", "ModuleNotFoundError"),
        ("import ctypes", "ModuleNotFoundError"),
        ("yield 1", "NotImplementedError"),
        ("x = {}\nfor _ in range(250): x = {'a': x}\nreturn x", "levels of nesting|recursion"),
    ],
)
def test_what_goes_wrong_is_a_value(body: str, words: str) -> None:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    source = (
        f"def reducer(state, event):\n    if event.position == 3:\n{lines}\n    return {{'p': 1}}"
    )
    told = folded(source, [event(1), event(2), event(3), event(4)])
    assert re.search(words, told.error), told.error
    if "NotImplemented" not in told.error:  # what cannot be read at all goes wrong at the first
        assert (told.broken, told.position, told.state) == (3, 2, '{"p":1}')


def test_what_never_returns_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "SECONDS", 0.5)
    source = "def reducer(s, e):\n    while e.position == 2: pass\n    return {'p': e.position}"
    told = folded(source, [event(1), event(2), event(3)])
    assert "time limit" in told.error
    assert (told.broken, told.position, told.state) == (2, 1, '{"p":1}')


def test_the_next_one_is_unharmed_and_sees_nothing_of_the_last() -> None:
    folded("leak = 'secret'\ndef reducer(s, e): return [[]] * 10**7", [event(1)])
    assert "not defined" in folded("def reducer(s, e): return leak", [event(1)]).error
    assert folded(ADDING, [event(1)]).error == ""


def test_a_function_is_called_with_what_is_outside() -> None:
    sent = []
    source = """
def handle(event, more):
    print("got", event.type)
    answer = charge({"cents": event.data["n"]}, currency="EUR")
    return {"answer": answer, "more": more}
"""

    def charge(what: Any, currency: str) -> Any:
        sent.append((what, currency))
        return {"paid": True}

    with typed.session(source) as code:
        assert code.has("handle")
        assert not code.has("nothing")
        assert not code.has("x; import os")
        got = code.call("handle", event(1), [1, None], outside={"charge": charge})
        assert got == typed.Outcome(
            {"answer": {"paid": True}, "more": [1, None]}, printed="got t\n"
        )
        assert "not defined" in code.call("handle", event(1), 1).error
    assert sent == [({"cents": 1}, "EUR")]


def test_an_error_of_a_function_names_its_line() -> None:
    with typed.session("def handle(event):\n    x = 1\n    return event.data['no']\n") as code:
        got = code.call("handle", event(1))
    assert (got.value, got.line) == (None, 3)
    assert got.error.startswith("KeyError")


def test_what_outside_ends_cannot_be_caught() -> None:
    class Halted(BaseException):
        pass

    def charge() -> None:
        raise Halted("no recording")

    source = (
        "def handle(event):\n    try:\n        charge()\n    except Exception:\n        return 'on'"
    )
    with typed.session(source) as code:
        got = code.call("handle", event(1), outside={"charge": charge})
    assert "no recording" in got.error


def test_what_is_printed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "SECONDS", 0.5)
    with typed.session("def handle(event):\n    while True: print('x' * 1000)") as code:
        got = code.call("handle", event(1))
    assert len(got.printed) == typed.PRINTED
    assert "time limit" in got.error


def test_clock_and_chance_are_frozen() -> None:
    source = """
import random, time
from datetime import datetime
def handle(event):
    return [time.time(), str(datetime.now()), random.random()]
"""
    start = datetime(2026, 5, 12, 14, 32, tzinfo=UTC)
    seen = []
    for seed in (1, 1, 2):
        with typed.session(source, seed=seed, start=start) as code:
            seen.append(code.call("handle", event(1)).value)
    assert seen[0] == seen[1] != seen[2]
    assert seen[0][0] == start.timestamp()
    assert seen[0][1].startswith("2026-05-12 14:32")


@pytest.mark.parametrize(
    ("source", "words", "line"),
    [
        ("def handle(", "SyntaxError", 1),
        ("x = 1\n1 / 0", "ZeroDivisionError", 2),
        ("x = 1", "no function 'handle'", 0),
        ("handle = 1", "no function 'handle'", 0),
        ("#" * (typed.SOURCE + 1), "characters", 0),
    ],
)
def test_code_that_cannot_be_used(source: str, words: str, line: int) -> None:
    with pytest.raises(typed.BadCode, match=words) as bad:
        typed.check(source, "handle")
    assert bad.value.line == line


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers() | st.text()), max_size=12))
@settings(max_examples=25)
def test_it_folds_as_python_does(patches: list[dict[str, Any]]) -> None:
    source = "def reducer(state, event):\n    return {**(state or {}), **event.data}"
    told = folded(source, [event(n, data=p) for n, p in enumerate(patches, 1)]) if patches else None
    state: Any = None
    marks: Any = None
    for n, patch in enumerate(patches, 1):
        after = {**(state or {}), **patch}
        marks = blame.fresh(after, n) if state is None else blame.renewed(state, marks, after, n)
        state = after
    if told:
        assert json.loads(told.state) == state
        assert told.marks == blame.row(state, marks)


@pytest.mark.django_db
def test_a_projection_is_typed_kept_and_changed(log: Log) -> None:
    log.append(*[envelope(stream="order-1", type=f"T{n}", data={"n": n}) for n in (1, 2, 3)])
    first = keep_code(log.line, "adding", ADDING, streams="order-*", owner=1)
    found = state_at(log.line, "order-1", projection="adding", marks=True)
    assert found.state == {"n": 6, "seen": ["T1", "T2", "T3"]}
    assert found.marks == {"n": 3, "seen": [1, 2, 3]}
    assert found.fingerprint == first.fingerprint
    assert [s.path for s in diff(log.line, "order-1", before=2, after=3, projection="adding")]
    entries = history(log.line, "order-1", field="/n", projection="adding").entries
    assert [(e.position, e.value) for e in entries] == [(1, 1), (2, 3), (3, 6)]

    second = keep_code(log.line, "adding", ADDING.replace("+=", "-="), streams="order-*", owner=1)
    assert state_at(log.line, "order-1", projection="adding").state["n"] == -6
    assert state_at(log.line, "order-1", projection=first.fingerprint).state["n"] == 6
    assert sources.earlier(log.line, "adding") == [first.fingerprint]
    retire_code(log.line, "adding")
    with pytest.raises(UnknownProjection):
        state_at(log.line, "order-1", projection="adding")
    assert state_at(log.line, "order-1", projection=second.fingerprint).state["n"] == -6
    with pytest.raises(UnknownProjection):
        state_at(log.line, "order-1", projection="adding@000000000000")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "source", "streams", "words"),
    [
        ("merge", ADDING, "a", "not 'merge'"),
        ("A b", ADDING, "a", "small letters"),
        ("a@b", ADDING, "a", "small letters"),
        ("a", ADDING, "", "which streams"),
        ("a", "def f(): pass", "a", "no function 'reducer'"),
        ("a", "def reducer(:", "a", "line 1"),
    ],
)
def test_what_is_not_kept(log: Log, name: str, source: str, streams: str, words: str) -> None:
    with pytest.raises(BadCode, match=words):
        keep_code(log.line, name, source, streams=streams, owner=1)
    assert sources.projections(log.line) == ({}, "")


@pytest.mark.django_db
def test_other_systems_do_not_see_it(log: Log) -> None:
    from apps.eventlog.commands.systems import create_system

    keep_code(log.line, "adding", ADDING, streams="*", owner=1)
    other = create_system(f"other-{next(itertools.count())}")
    assert sources.projections(other)[0] == {}
