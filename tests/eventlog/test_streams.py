from __future__ import annotations

from collections import Counter

import pytest

from apps.eventlog.commands.forget import forget
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line
from apps.eventlog.queries import streams as module
from apps.eventlog.queries.streams import Stream, StreamPage, categories, streams
from tests.conftest import Log
from tests.eventlog.histories import everything, forked, history
from tests.factories import envelope

pytestmark = pytest.mark.django_db

NAMES = ["order", "order-1", "order-10", "order-2", "order!x", "order.y", "ord-1", "-", "-a", "é-1",
         "\uffff-1", "\U0001f600", "a b-c-d", "Order-1"]  # fmt: skip


@pytest.fixture(params=["by name", "by event"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to find which streams there are at a moment."""
    if request.param == "by name":
        monkeypatch.setattr(module, "EARLY", -1)


def expected(line: Line, *, at: int | None = None) -> list[Stream]:
    found: dict[str, Stream] = {}
    for e in everything(line, upto=at):
        if e.stream:
            before = found.get(e.stream)
            first, n = (before.first, before.events) if before else (e.position, 0)
            category = e.stream.split("-")[0]
            found[e.stream] = Stream(e.stream, category, first, e.position, n + 1)
    return [found[name] for name in sorted(found)]


def test_it_works(log: Log) -> None:
    log.append(envelope(stream="b-1"), envelope(stream="a-1"), envelope(stream="b-1"))

    assert streams(log.line) == StreamPage(
        [Stream("a-1", "a", 2, 2, 1), Stream("b-1", "b", 1, 3, 2)], None
    )
    assert streams(log.line, at=1).streams == [Stream("b-1", "b", 1, 1, 1)]
    assert categories(log.line) == [("a", 1), ("b", 1)]


def test_it_lists_what_exists_at_the_moment() -> None:
    line = forked(history(count=150), base=90)
    parent = forked(line, base=line.head)
    for each in (line, parent):
        for at in (None, 0, 1, 30, 89, 90, 91, 140):
            wanted = expected(each, at=at)
            assert streams(each, at=at) == StreamPage(wanted, None)
            assert categories(each, at=at) == sorted(Counter(s.category for s in wanted).items())


def test_pages_make_up_the_whole(log: Log) -> None:
    log.append(*(envelope(stream=name) for name in NAMES))
    for limit in (1, 3, 100):
        found, after = [], ""
        while True:
            page = streams(log.line, after=after, limit=limit)
            found += [s.stream for s in page.streams]
            if page.next is None:
                break
            assert page.next == found[-1]
            after = page.next
        assert found == sorted(NAMES)


@pytest.mark.parametrize(
    "prefix", ["", "o", "order", "order-1", "order-", "-", "é", "\uffff", "zz"]
)
@pytest.mark.parametrize("category", ["", "order", "order!x", "ord", "nope"])
def test_it_narrows_to_a_prefix_and_a_category(log: Log, prefix: str, category: str) -> None:
    log.append(*(envelope(stream=name) for name in NAMES))
    found = [s.stream for s in streams(log.line, prefix=prefix, category=category).streams]
    assert found == sorted(
        n for n in NAMES
        if n.startswith(prefix) and (not category or n.split("-")[0] == category)
    )  # fmt: skip


def test_it_keeps_to_its_system(log: Log) -> None:
    other = Log(create_system(f"{log.line.slug}-b"))
    log.add(stream="a-1")
    other.add(stream="b-1")
    assert [s.stream for s in streams(log.line).streams] == ["a-1"]
    assert categories(other.line) == [("b", 1)]


def test_an_empty_line_has_none(line: Line) -> None:
    assert streams(line) == StreamPage([], None)
    assert categories(line) == []


def test_tombstones_still_count_but_a_forgotten_stream_is_gone(log: Log) -> None:
    log.append(*(envelope(stream=name) for name in ("a-1", "a-1", "b-1")))
    forget(log.line, before=2)
    assert streams(log.line).streams[0] == Stream("a-1", "a", 1, 2, 2)
    forget(log.line, stream="a-1")
    assert [s.stream for s in streams(log.line).streams] == ["b-1"]


def test_limit_is_capped(log: Log) -> None:
    log.append(*(envelope(stream=f"s-{n:04}") for n in range(1005)))
    assert len(streams(log.line, limit=5000).streams) == 1000
    assert len(streams(log.line, limit=-1).streams) == 1


def test_names_that_come_later_are_given_up_on(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EARLY", -1)
    monkeypatch.setattr(module, "NAMES", 10)
    log.append(*(envelope(stream=f"z-{n}") for n in range(3)))
    log.append(*(envelope(stream=f"a-{n:02}") for n in range(60)), envelope(stream="b"))
    found, after, given_up = [], "", 0
    while True:
        page = streams(log.line, at=3, after=after, limit=5)
        found += [s.stream for s in page.streams]
        given_up += not page.complete
        if page.next is None:
            break
        after = page.next
    assert found == ["z-0", "z-1", "z-2"]
    assert given_up > 0
    counted = categories(log.line, at=3)
    assert not counted.exact
    assert counted == [("a", 60), ("b", 1), ("z", 3)]


def test_categories_are_counted_apart_whatever_is_in_their_names(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(*(envelope(stream=name) for name in NAMES))
    wanted = sorted(Counter(name.split("-")[0] for name in NAMES).items())
    assert categories(log.line) == wanted
    monkeypatch.setattr(module, "EARLY", -1)
    monkeypatch.setattr(module, "NAMES", 3)
    assert categories(log.line) == wanted
