"""Handlers typed in a browser: the same outcomes from the interpreter as from Python."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from apps.projections.typed import BadCode
from apps.sandbox.answers import Answer
from apps.sandbox.interpreted import Interpreted
from apps.sandbox.local import Local
from apps.sandbox.outcome import Outcome, Task
from apps.sandbox.rewriting import NotTyped, rewritten
from evdebug.sdk import subscriptions
from tests.factories import NOON
from tests.sandbox.history import Bench, shop_log

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop" / "services"
ALL = """
from __future__ import annotations
from collections.abc import Iterator
from evdebug.sdk import Context, Event, New, Unavailable, subscriber
import json

@subscriber("s", to="T")
def handle(event: Event, ctx: Context) -> Iterator[New]:
    \"\"\"Return — all.\"\"\"
    got = ctx.call("ask", {"b": 1, "a": event.data["n"]})
    if got == "away":
        raise Unavailable("nobody there")
    yield New("Got", event.stream, {"got": got, "é": json.dumps([1]), "at": ctx.now().isoformat()})
    before = ctx.state(event.stream)
    yield from rest(before, ctx)
    if event.data["n"] == 2:
        ctx.skip("known")

def rest(before, ctx):
    yield New("A", "a-1", {"before": before, "id": ctx.uuid(), "dice": ctx.random()}, key="k")
    yield New(
        "B", "b-1", [1, None, 2.5], kind="command", correlation="c"
    )
"""


class World:
    """Answers as it is told, and knows one stream."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer

    def state(self, stream: str) -> bytes:
        return b'{"x":1}' if stream == "s-1" else b"{}"

    def call(self, name: str, request: Any) -> Answer | None:
        return self.answer

    def expected(self) -> list[tuple[str, str, Answer]]:
        return []


def task(n: int, **more: Any) -> Task:
    event = {"id": "e", "type": "T", "source": "/s", "stream": "s-1", "data": {"n": n}, "time": 5}
    return Task("s", event | more, 1, NOON)


def local(source: str) -> Local:
    module = ModuleType("typed")
    exec(compile(source, "typed", "exec"), module.__dict__)
    return Local(subscriptions(module))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "answer", [Answer("x"), Answer("away"), Answer({"k": [1]}, 5000), Answer(None, failed=True),
               None],
)  # fmt: skip
def test_it_works(n: int, answer: Answer | None) -> None:
    made = Interpreted(ALL)
    assert made.handlers == [("s", "T")]
    assert made.run(task(n), World(answer)) == local(ALL).run(task(n), World(answer))


def test_nothing_stays_in_a_global() -> None:
    source = ALL.replace("import json", "import json\nseen = []").replace(
        "    got = ", "    seen.append(1)\n    assert len(seen) == 1\n    got = "
    )
    made = Interpreted(source)
    assert made.run(task(1), World(Answer(1))) == made.run(task(1), World(Answer(1)))
    assert made.run(task(1), World(Answer(1))).outcome == "handled"


@pytest.mark.parametrize("name", ["orders", "payments", "inventory", "shipping", "email", "web"])
def test_the_shop_does_again_what_it_did(name: str) -> None:
    """Its services are typed as they are on disk."""
    try:
        made = Interpreted((SHOP / f"{name}.py").read_text())
    except NotTyped:
        assert name == "inventory"  # takes from another module
        return
    bench = Bench(shop_log(4), base=3_000, until=5_000)
    ran: list[Outcome] = []

    class Seen:
        def run(self, task: Task, world: Any) -> Outcome:
            ran.append(made.run(task, world))
            return ran[-1]

    bench.engine.hosts = {**bench.engine.hosts, name: Seen()}
    assert not [e for e in bench.run() if e.differs]
    assert len(ran) > 10


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os", "imports os .line 1"),
        ("from examples.shop import x", "imports examples.shop"),
        ("from . import x", "imports ."),
        ("from evdebug.sdk import *", "as they are"),
        ("def f():\n    x = yield 1", "line of its own .line 2"),
        ("def f():\n    yield", "says something"),
        ("async def f(): pass", "async"),
        ("def f(:", "line 1"),
        ("(" * 100_000, "letters"),
        ("(" * 60_000, "cannot be read|too many nested|line"),
        ("x" * 70_000, "65536 are read"),
        ("\0", "cannot be read|null"),
    ],
)
def test_it_refuses(source: str, words: str) -> None:
    with pytest.raises(NotTyped, match=words):
        rewritten(source)


def test_lines_stay_where_they_are() -> None:
    source = (
        "from evdebug.sdk import (\n    New,\n    subscriber,\n)\n"
        "def f(\n    a: dict[str, int] = {},\n) -> list[int]:\n    yield (\n        a\n    )\n"
    )
    made = rewritten(source)
    assert made.count("\n") == source.count("\n")
    assert made.splitlines()[7:] == ["    _say(", "a)", ""]
    compile(made, "x", "exec")


BROKEN = {
    "raise ValueError('no')": "ValueError: no .line 3",
    "return 1 / 0": "ZeroDivisionError.*line 3",
    "return [{}]": "yields New.*not dict",
    "return [New('', 's', {})]": "needs a type",
    "return [New('t', 's', {}, kind='response')]": "events and commands",
    "while True: pass": "line|time|duration",
    "return open('/etc/passwd')": "line 3",
    "import os; os.system('true')": "line 3|No module",
    "return [New('t', 's', 'x' * 10_000_000)] * 3": "at most|large",
    "x = 'x' * 10_000_000_000": "emory|line",
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_it_does_wrong_is_its_outcome(code: str) -> None:
    head = '@subscriber("s", to="T")\ndef f(event, ctx):\n    '
    try:
        made = Interpreted(head + code + "\n")
    except NotTyped:
        assert "import" in code
        return
    found = made.run(task(1), World(None))
    assert found.outcome == "failed"
    assert re.search(BROKEN[code], found.error), found.error


@pytest.mark.parametrize(
    "source", ["1 / 0", "subscriber(1, to=2)(3)", "raise RuntimeError('x')", "while True: pass"]
)
def test_what_cannot_be_run_at_all(source: str) -> None:
    with pytest.raises(BadCode):
        Interpreted(source)
