"""What handlers are handed before they ask: it spares questions and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from apps.sandbox.answers import Answer, key_of
from apps.sandbox.guessing import PLACES, Guesses
from apps.sandbox.jailed import Jailed
from apps.sandbox.outcome import Outcome, Task
from tests.factories import NOON
from tests.sandbox.history import Bench, shop_log


def event(**data: Any) -> dict[str, Any]:
    return {"type": "T", "stream": "s-1", "data": data}


def test_it_learns_where_a_stream_is_named() -> None:
    guesses = Guesses()
    assert guesses.streams("a", event(order="o-1")) == []
    guesses.learn("a", event(order="o-1", lines=[{"sku": "k-1"}]), ["o-1", "k-1", "elsewhere"])
    assert guesses.streams("a", event(order="o-2", lines=[{"sku": "k-9"}])) == ["o-2", "k-9"]
    assert guesses.streams("a", event(order=7, lines=[])) == []
    assert guesses.streams("a", {"type": "T", "stream": "", "data": None}) == []
    assert guesses.streams("b", event(order="o-2")) == []


def test_what_it_learns_is_bounded() -> None:
    guesses = Guesses()
    many = {f"f{n}": f"v{n}" for n in range(500)}
    guesses.learn("a", event(**many), list(many.values()))
    assert len(guesses.streams("a", event(**many))) == PLACES


def test_what_is_expected_is_what_would_be_answered() -> None:
    engine = Bench(shop_log(4), base=3_000, until=5_000).engine
    asked = 0
    for x in engine.recording.executions:
        expected = engine.answers.expected(x)
        assert engine.answers.expected(x) == expected  # looking takes nothing
        for name, request, answer in expected:
            taken = engine.answers.take(name, msgspec.json.decode(request), x)
            assert taken == answer
            asked += 1
    assert asked > 100


CODE = """
from evdebug.sdk import New, subscriber

@subscriber("s", to="T")
def f(event, ctx):
    got = [ctx.call("a", {"x": 1, "y": 2}), ctx.call("a", {"y": 2, "x": 1})]
    if event.data["more"]:
        got.append(ctx.call("b", {}))
        got.append(ctx.call("a", {"x": 1, "y": 2}))
    yield New("U", "u-1", {"got": got, "state": ctx.state(event.data["of"])})
"""


class World:
    """Queues of answers by call; `open` says whether one may look into them."""

    def __init__(self, open: bool) -> None:
        self.open = open
        self.log: list[tuple[str, Any]] = []
        self.queues = {key_of("a", {"x": 1, "y": 2}): [1, 2, 3, 4], key_of("b", {}): [9]}

    def state(self, stream: str) -> bytes:
        return b'{"of":"%s"}' % stream.encode()

    def call(self, name: str, request: Any) -> Answer | None:
        self.log.append((name, request))
        queue = self.queues.get(key_of(name, request))
        if name == "b":  # nothing is recorded for it, so the nearest answer goes to it
            self.queues[key_of("a", {"x": 1, "y": 2})].pop(0)
        return Answer(queue.pop(0)) if queue else None

    def expected(self) -> list[tuple[str, str, Answer]]:
        if not self.open:
            return []
        key = key_of("a", {"x": 1, "y": 2})
        return [("a", key[1].decode(), Answer(value)) for value in self.queues[key]]


@pytest.fixture(scope="module")
def child() -> Iterator[Jailed]:
    made = Jailed([], source=CODE)
    assert made.describe().error == ""
    yield made
    made.close()


@pytest.mark.parametrize("more", [False, True])
def test_what_is_given_beforehand_changes_nothing(more: bool, child: Jailed) -> None:
    def ran(world: World, of: str) -> Outcome:
        fields = {"id": "e", "source": "/s", "time": 5}
        return child.run(Task("s", event(more=more, of=of) | fields, 1, NOON), world)

    for of in ("k-1", "k-2"):  # the second time it knows which state
        asked, given = World(open=False), World(open=True)
        assert ran(asked, of) == ran(given, of)
        assert asked.log == given.log
        assert asked.queues == given.queues
