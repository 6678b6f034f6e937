from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.eventlog.commands.append import append
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections.errors import BadExpression, UnknownStream
from apps.projections.queries.finding import find
from apps.projections.queries.states import state_at
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def stock(log: Log) -> Log:
    """stock-7 falls from 20 to -10, one event in three; others move at random."""
    chance = random.Random(3)
    made = []
    for n in range(90):
        if n % 3 == 0:
            made.append(
                envelope(stream="stock-7", type="Reserved", data={"available": 20 - n // 3})
            )
        else:
            data = {"available": chance.randint(1, 9)}
            made.append(envelope(stream=f"stock-{n % 3}", data=data))
    log.append(*made)
    return log


def by_hand(log: Log, stream: str, test: Any, after: int = 0) -> int | None:
    for event in log.read(after=after):
        here = event.stream == stream
        if here and test(state_at(log.line, stream, at=event.position).state):
            return event.position
    return None


@pytest.mark.parametrize("bisect", [False, True])
@pytest.mark.parametrize("bound", [25, 20, 5, 0, -9])
def test_it_finds_the_first_event(stock: Log, bisect: bool, bound: int) -> None:
    found = find(stock.line, "stock-7", f"state.available < {bound}", bisect=bisect)
    assert found.position == by_hand(stock, "stock-7", lambda s: s["available"] < bound)


@pytest.mark.parametrize("bisect", [False, True])
def test_it_says_when_there_is_none(stock: Log, bisect: bool) -> None:
    found = find(stock.line, "stock-7", "state.available < -100", bisect=bisect)
    assert found.position is None
    assert found.complete


def test_bisecting_looks_at_few(stock: Log) -> None:
    found = find(stock.line, "stock-7", "state.available < 0", bisect=True)
    assert found.checked <= 7
    assert found.probes[-1].position
    assert [p.holds for p in found.probes if p.position == found.position] == [True]


def test_the_bounds_are_after_and_upto(stock: Log) -> None:
    first = find(stock.line, "stock-7", "state.available < 5").position
    assert first is not None
    assert find(stock.line, "stock-7", "state.available < 5", upto=first - 1).position is None
    again = find(stock.line, "stock-7", "state.available < 5", after=first).position
    assert again == first + 3


def test_an_entitys_own_name_stands_for_its_state(stock: Log) -> None:
    own = find(stock.line, "stock-7", "stock-7.available < 0")
    assert own.position == find(stock.line, "stock-7", "state.available < 0").position
    both = find(stock.line, "stock-1", "stock-7.available < 0 && state.available > 0")
    assert both.position == own.position
    assert both.stream == "stock-7"


def test_it_can_ask_about_the_event(stock: Log) -> None:
    text = "event.type == 'Reserved' && event.data.available == 7 && position > 3"
    assert find(stock.line, "stock-7", text).position == 40


@pytest.mark.parametrize("stream", ["", "stock-*"])
def test_it_looks_at_many_entities(stock: Log, stream: str) -> None:
    found = find(stock.line, stream, "state.available < 0")
    assert found.stream == "stock-7"
    assert found.position == find(stock.line, "stock-7", "state.available < 0").position
    assert find(stock.line, "order-*", "state.available < 0").checked == 0


def test_what_is_wrong_is_said(stock: Log) -> None:
    with pytest.raises(BadExpression) as caught:
        find(stock.line, "stock-7", "state.available <")
    assert caught.value.column == 17
    with pytest.raises(BadExpression, match="divides by zero"):
        find(stock.line, "stock-7", "state.available / 0 > 1")
    with pytest.raises(UnknownStream):
        find(stock.line, "nothing", "true")
    with pytest.raises(UnknownStream):
        find(stock.line, "stock-7", "nothing.x > 1")
    with pytest.raises(BadExpression):
        find(stock.line, "stock-*", "true", bisect=True)


@given(st.lists(st.integers(0, 3), max_size=25), st.integers(-5, 40))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bisecting_is_scanning_where_what_is_true_stays_true(
    line: Line, steps: list[int], bound: int
) -> None:
    stream = f"s-{uuid.uuid4().hex[:10]}"
    total, made = 0, [envelope(stream=stream, data={"n": 0})]
    for step in steps:
        total += step
        made += [envelope(stream=stream, data={"n": total}), envelope(stream="other", data={})]
    begun = log.line(line.slug).head
    append(line, made)
    text = f"state.n >= {bound}"
    now = log.line(line.slug)
    scanned = find(now, stream, text, after=begun)
    assert find(now, stream, text, after=begun, bisect=True).position == scanned.position
