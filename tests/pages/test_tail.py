"""Rows for all who follow at once are those each would have been searched for."""

from __future__ import annotations

from typing import Any

import pytest

from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries.search import search
from apps.pages.queries.tail import tail, tails
from tests.conftest import Log

QUERIES = [
    "", "type:OrderPlaced", "-type:OrderPlaced", "outcome:failed", "kind:delivery", "source:/web",
    "stream:order-1*", "data.total>20", "handled-by:payments", "at:12:01..", "OrderPlaced",
    "position:20..60",
]  # fmt: skip


def positions(log: Log, query: str, after: int) -> list[int]:
    return [row.position for row in tail(log.line, query, after=after)]


@pytest.mark.parametrize("query", QUERIES)
def test_it_works(trade: Log, query: str) -> None:
    for after in (0, 30, trade.line.head - 3, trade.line.head, trade.line.head + 5):
        assert tails(trade.line, {query: after}) == {query: tail(trade.line, query, after=after)}


def test_each_gets_what_is_new_to_it(trade: Log) -> None:
    after = dict.fromkeys(QUERIES, 40) | {"": 150, "kind:delivery": 0}
    found = tails(trade.line, after)
    assert {query: [row.position for row in rows] for query, rows in found.items()} == {
        query: positions(trade, query, at) for query, at in after.items()
    }
    assert found["kind:delivery"]


@pytest.mark.parametrize("bound", ["AT_ONCE", "BYTES"])
def test_much_is_searched_for(trade: Log, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    searches: list[str] = []

    def counted(line: Line, text: str, **bounds: Any) -> Any:
        searches.append(text)
        return search(line, text, **bounds)

    monkeypatch.setattr("apps.pages.queries.tail.search", counted)
    after = {"": 100, "kind:delivery": 100}
    few = tails(trade.line, after)
    assert not searches
    monkeypatch.setattr(f"apps.pages.queries.tail.{bound}", 10)
    assert tails(trade.line, after) == few
    assert len(searches) == 2


def test_nobody_asks_for_nothing(trade: Log) -> None:
    assert tails(trade.line, {}) == {}


def test_a_wrong_query_is_said(trade: Log) -> None:
    with pytest.raises(QueryError):
        tails(trade.line, {"nofield:x": 100})
