"""Handlers in their child: what they may, what they may not, and what hostile ones come to.

The walls themselves are attacked in tests/projections/test_confine.py; here the door is.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from apps.projections import jail, landlock
from apps.sandbox.answers import Answer
from apps.sandbox.jailed import Jailed
from apps.sandbox.outcome import Outcome, Task

HEAD = """
import datetime, os, random, socket, sys, time, uuid
from evdebug.sdk import New, Unavailable, subscriber

@subscriber("s", to="t")
def handle(event, ctx):
    got = None
"""


class World:
    def state(self, stream: str) -> bytes:
        return b'{"total":5}' if stream == "books" else b"{}"

    def call(self, name: str, request: Any) -> Answer | None:
        return None if name == "silent" else Answer({"status": 200, "asked": request}, 7000, 1)

    def expected(self) -> list[tuple[str, str, Answer]]:
        return []


def task(n: int = 1) -> Task:
    event = {
        "id": f"e{n}", "type": "t", "source": "/x", "stream": "a", "data": {"n": n}, "time": 1000,
    }  # fmt: skip
    return Task("s", event, 1, 1_778_587_200_000_000)


Make = Callable[..., Jailed]


@pytest.fixture(params=["alone", *(["bubblewrap"] if jail.bubblewrap() else [])])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes children of source, within our own walls alone and within bubblewrap's, too."""
    if not landlock.version(ctypes.CDLL(None)):
        pytest.skip("this kernel has no Landlock")
    if request.param == "alone":
        monkeypatch.setattr(jail, "bubblewrap", lambda: "")
    monkeypatch.setenv("PARENTS_SECRET", "a secret of the parent")
    children: list[Jailed] = []

    def make(body: str, handler_s: float = 20) -> Jailed:
        lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
        child = Jailed([], source=f"{HEAD}{lines}    yield from ()\n", handler_s=handler_s)
        children.append(child)
        assert child.describe().error == ""
        return child

    yield make
    for child in children:
        child.close()


def ran(child: Jailed) -> Outcome:
    return child.run(task(), World())


def said(outcome: Outcome) -> list[Any]:
    return [msgspec.json.decode(s.data) for s in outcome.said if s.kind == "event"]


def test_what_a_handler_is_there_for(made: Make) -> None:
    child = made("""
answer = ctx.call("bank", {"n": event.data["n"]})
yield New("Billed", "books", {"total": ctx.state("books")["total"] + answer["asked"]["n"]})
yield New("Told", "books", ctx.state("books"), kind="command")
""")
    outcome = ran(child)
    assert [s.kind for s in outcome.said] == ["response", "event", "command"]
    assert said(outcome) == [{"total": 6}]
    assert msgspec.json.decode(outcome.said[2].data) == {"total": 6}
    assert [s.after for s in outcome.said] == [7000] * 3
    assert outcome.read == ["books"]


def test_time_and_chance_are_the_same_each_time_wherever_they_are_asked(made: Make) -> None:
    child = made("""
ctx.call("bank", {})
yield New("x", "x", [time.time(), str(datetime.datetime.now(datetime.timezone.utc)),
    str(ctx.now()), str(datetime.date.today()), random.random(), ctx.random(), ctx.uuid(),
    str(uuid.uuid4()), list(os.urandom(4)), isinstance(ctx.now(), datetime.datetime)])
""")
    first, second = said(ran(child)), said(ran(child))
    assert first == second
    assert first[0][:2] == [1778587200.007, "2026-05-12 12:00:00.007000+00:00"]
    assert first[0][2] == first[0][1]
    assert first[0][-1] is True
    assert said(child.run(task(2), World())) != first


def test_how_a_handler_may_end(made: Make) -> None:
    assert ran(made('raise Unavailable("closed")')).error == "closed"
    assert ran(made('ctx.skip("again")')).outcome == "skipped"
    assert ran(made('raise KeyError("x")')).error.startswith("KeyError")
    assert ran(made('ctx.call("silent", {"a": 1})')).wanted == {
        "call": "silent", "request": {"a": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("yield 5", "yields New"),
        ("yield New('', 's', {})", "needs a type"),
        ("yield New('t', 's', {}, kind='delivery')", "events and commands"),
        ("yield New('t', 's\\0', {})", "texts"),
        ("yield New('t', 's', object())", "TypeError"),
        ("while True: yield New('t', 's', 'x' * 10)", "may say at most"),
        ("while True: yield New('t', 's', 'x' * 1000000)", "may say at most"),
        ("open('/etc/passwd').read()", "Error"),
        ("open('/tmp/x', 'w')", "may not write"),
        ("socket.create_connection(('127.0.0.1', 1))", "Permission"),
        ("socket.socket(socket.AF_UNIX).connect('/var/run/postgresql/.s.PGSQL.5432')", "Error"),
        ("os.fork()", "may not start a process"),
        ("os.system('id')", "may not run"),
        ("os.kill(os.getppid(), 9)", "may not send a signal"),
        ("def f(): f()\nf()", "RecursionError"),
    ],
)
def test_what_is_refused_is_told_as_the_handlers_failure(body: str, words: str, made: Make) -> None:
    outcome = ran(made(body))
    assert outcome.outcome == "failed"
    assert words in outcome.error
    assert os.getpid()


@pytest.mark.parametrize(
    "body",
    [
        "os._exit(3)",
        "x = []\nwhile True: x.append(bytearray(1 << 26))",
        "import ctypes; ctypes.string_at(0)",
        "while True: pass",
        "time.sleep(1); [None for _ in iter(int, 1)]",
        "for fd in range(3, 1000):\n    try: os.write(fd, b'\\xff\\xff\\xff\\xff' * 100)\n"
        "    except OSError: pass",
    ],
)
def test_what_ends_or_never_ends_is_contained_and_the_next_goes_on(body: str, made: Make) -> None:
    child = made(f"if event.data['n'] == 1:\n    {body.replace(chr(10), chr(10) + '    ')}\n"
                 "yield New('fine', 's', 1)", handler_s=1.5)  # fmt: skip
    outcome = ran(child)
    assert outcome.outcome == "failed"
    assert outcome.error
    child.handler_s = 20  # the next one is not what is short of time
    assert said(child.run(task(2), World())) == [1]


def test_the_environment_is_empty(made: Make) -> None:
    child = made("yield New('x', 'x', [dict(os.environ), sys.argv[0][-8:]])")
    (found,) = said(ran(child))
    assert "a secret of the parent" not in str(found)
    assert set(found[0]) <= {"PYTHONHASHSEED", "LC_CTYPE", "PWD"}


def test_source_that_cannot_be_used_says_where() -> None:
    for source, words in (
        ("def x(:", "line 1"),
        ("import nothing_there", "nothing_there"),
        ("raise SystemExit", "Exit"),
    ):  # fmt: skip
        child = Jailed([], source=source)
        assert words in child.describe().error
        assert child.run(task(), World()).outcome == "failed"
        child.close()
