from __future__ import annotations

import json
import random
from typing import Any

import pytest

from apps.projections.commands.codes import keep_code
from apps.projections.commands.watches import add_watch, remove_watch
from apps.projections.errors import BadExpression, UnknownProjection, UnknownStream
from apps.projections.exact import MISSING, same
from apps.projections.expression import Expression
from apps.projections.queries import grouped
from apps.projections.queries.states import state_at
from apps.projections.queries.watches import MOST, broken_rules, seen, watch, watches
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def stock(log: Log) -> Log:
    chance = random.Random(2)
    for _ in range(40):
        stream = chance.choice(["stock-1", "stock-2"])
        log.add(stream=stream, data={"available": chance.randint(-2, 3)})
    return log


@pytest.mark.parametrize(
    "text", ["state.available", "stock-1.available >= 0", "stock-1.available + stock-2.available"]
)
def test_a_history_is_that_of_every_position(stock: Log, text: str) -> None:
    kept = add_watch(stock.line, text, owner=1, stream="stock-1")
    expression = Expression(text)
    expected: list[tuple[int, Any]] = []
    for at in range(5, 31):
        states = {s: state_at(stock.line, s, at=at).state for s in ("stock-1", "stock-2")}
        value = expression.value(state=states["stock-1"], stream="stock-1", others=states)
        if not expected or not same(value, expected[-1][1]):
            expected.append((at, value))
    found = seen(stock.line, kept, at=30, start=5, end=30)
    assert [(s.position, s.value) for s in found.history] == expected
    assert same(found.value, expected[-1][1])


def test_a_rule_is_broken_where_it_is_false(stock: Log) -> None:
    kept = add_watch(stock.line, "stock-1.available > 100", owner=1, must_hold=True)
    assert seen(stock.line, kept, at=40, start=1, end=40).broken
    assert not seen(stock.line, kept, at=40, start=1, end=40)._replace(value=True).broken


def test_a_rule_is_not_broken_before_there_is_anything(log: Log) -> None:
    log.append(envelope(stream="other", data={}), envelope(stream="other", data={"n": 1}))
    log.append(*[envelope(stream="stock-1", data={"available": n}) for n in (1, 0, -1)])
    kept = add_watch(log.line, "stock-1.available >= 0", owner=1, must_hold=True)
    assert not seen(log.line, kept, at=1, start=1, end=5).broken
    (first,) = broken_rules(log.line, owner=1, start=1, end=5)
    assert (first[0], first[2]) == (5, "stock-1.available >= 0")


def test_watches_are_ones_own(stock: Log) -> None:
    mine = add_watch(stock.line, "stock-1.available", owner=1)
    assert add_watch(stock.line, "stock-1.available", owner=1).pk == mine.pk
    assert watches(stock.line, owner=2) == []
    assert watch(stock.line, mine.pk, owner=2) is None
    remove_watch(mine)
    assert watches(stock.line, owner=1) == []


def test_what_cannot_be_watched(stock: Log) -> None:
    with pytest.raises(BadExpression):
        add_watch(stock.line, "stock-1.available >", owner=1)
    with pytest.raises(BadExpression, match="Name an entity"):
        add_watch(stock.line, "state.available", owner=1)
    with pytest.raises(UnknownStream):
        add_watch(stock.line, "stock-9.available", owner=1)
    for n in range(MOST):
        add_watch(stock.line, f"stock-1.available > {n}", owner=1)
    with pytest.raises(BadExpression, match="already"):
        add_watch(stock.line, "stock-1.other", owner=1)


def test_an_error_at_one_moment_is_shown(stock: Log) -> None:
    kept = add_watch(stock.line, "1 / stock-1.available", owner=1)
    stock.append(envelope(stream="stock-1", data={"available": 0}))
    found = seen(stock.line, kept, at=41, start=1, end=41)
    assert "divides by zero" in found.error
    assert found.value is MISSING


def test_over_a_category_it_holds_where_it_holds_for_each(stock: Log) -> None:
    stock.append(envelope(stream="other-1", data={"available": -9}))
    stock.append(envelope(stream="stock-3", data={"available": -1}))
    stock.append(envelope(stream="stock-3", data=b"null"))
    kept = add_watch(stock.line, "state.available >= 0", owner=1, stream="stock-*", must_hold=True)
    names = ("stock-1", "stock-2", "stock-3")

    def broken_by(at: int) -> list[str]:
        states = {s: state_at(stock.line, s, at=at).state for s in names}
        return [s for s in names if states[s] not in (MISSING, None) and states[s]["available"] < 0]

    expected: list[tuple[int, bool]] = []
    for at in range(5, 44):
        if not expected or expected[-1][1] is bool(broken_by(at)):
            expected.append((at, not broken_by(at)))
        found = seen(stock.line, kept, at=at, start=at, end=at)
        assert (found.broken, sorted(found.broken_by)) == (bool(broken_by(at)), broken_by(at))
    found = seen(stock.line, kept, at=43, start=5, end=43)
    assert [(s.position, s.value) for s in found.history] == expected
    assert len(expected) > 3
    first = next(p for p in range(1, 44) if broken_by(p))
    assert [p for p, _, _ in broken_rules(stock.line, owner=1, start=0, end=43)] == [first]


def test_a_watch_by_code(stock: Log) -> None:
    code = (
        "def reducer(state, event):\n"
        "    return {'worth': (state or {'worth': 0})['worth'] + event.data['available'] * 10}"
    )
    keep_code(stock.line, "worth", code, streams="stock-*", owner=1)
    kept = add_watch(stock.line, "state.worth", owner=1, stream="stock-1", projection="worth")
    worth = 0
    expected: list[tuple[int, int]] = []
    for e in stock.read():
        if e.stream == "stock-1":
            worth += json.loads(e.data or b"{}")["available"] * 10
            if not expected or expected[-1][1] != worth:
                expected.append((e.position, worth))
    found = seen(stock.line, kept, at=40, start=0, end=40)
    assert [(s.position, s.value) for s in found.history if s.value is not MISSING] == expected
    assert (found.value, found.error) == (worth, "")
    with pytest.raises(UnknownProjection):
        add_watch(stock.line, "state.worth", owner=1, stream="stock-1", projection="absent")


def test_over_a_category_by_code(stock: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def reducer(state, event):\n    return {'worth': event.data['available'] * 10}"
    keep_code(stock.line, "worth", code, streams="stock-*", owner=1)
    stock.append(envelope(stream="stocking-1", data={}))  # the code does not take it
    kept = add_watch(stock.line, "state.worth >= 0", owner=1, stream="stock*", projection="worth")
    same_ = add_watch(stock.line, "state.available >= 0", owner=1, stream="stock-*")
    found, merged = (seen(stock.line, each, at=41, start=5, end=41) for each in (kept, same_))
    assert [(s.position, s.value) for s in found.history] == [
        (s.position, s.value) for s in merged.history
    ]
    assert len(found.history) > 3
    assert (found.value, sorted(found.broken_by)) == (merged.value, sorted(merged.broken_by))
    monkeypatch.setattr(grouped, "CODED", 1)
    with pytest.raises(BadExpression, match="code can be asked"):
        add_watch(stock.line, "state.worth > 1", owner=1, stream="stock-*", projection="worth")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("state.available", "true or false"),
        ("stock-1.available > 0", "each one's"),
        ("event.type == 'x'", "each one's"),
    ],
)
def test_what_cannot_be_watched_of_many(stock: Log, text: str, words: str) -> None:
    with pytest.raises(BadExpression, match=words):
        add_watch(stock.line, text, owner=1, stream="stock-*")


def test_too_many_are_not_watched(stock: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "ENTITIES", 1)
    with pytest.raises(BadExpression, match="More than 1 entities"):
        add_watch(stock.line, "state.available > 0", owner=1, stream="stock-*")
