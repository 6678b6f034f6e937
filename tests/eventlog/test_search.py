from __future__ import annotations

import random
import time
from typing import Any

import pytest

from apps.eventlog.commands.forget import forget
from apps.eventlog.commands.systems import create_system, fork
from apps.eventlog.envelope import Recorded
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import plan, rows, scan, search
from tests.conftest import Log
from tests.eventlog.histories import everything, forked, history, matching, queries
from tests.factories import delivery, envelope

pytestmark = pytest.mark.django_db


def all_pages(
    line: Line, text: str, *, limit: int = 7, ascending: bool = False, at: int | None = None
) -> list[Recorded]:
    found: list[Recorded] = []
    edge: int | None = None
    while True:
        bound = {"after" if ascending else "before": edge}
        page = search.search(line, text, at=at, limit=limit, ascending=ascending, **bound)
        assert page.complete
        assert len(page.events) <= limit
        found += page.events
        if page.next is None:
            return found
        assert page.next == found[-1].position
        edge = page.next


@pytest.fixture(params=["usual", "narrow", "together"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual bounds, and such small ones that every other way through is taken."""
    monkeypatch.setattr(scan, "SECONDS", 600)
    if request.param == "narrow":
        monkeypatch.setattr(plan, "FEW_LANES", 1)
        monkeypatch.setattr(plan, "MANY_STREAMS", 1)
        monkeypatch.setattr(plan, "FEW_CAUSES", 1)
        monkeypatch.setattr(scan, "LARGEST", 9)
        monkeypatch.setattr(scan, "LARGEST_WITH_DATA", 5)
    if request.param == "together":
        monkeypatch.setattr(scan, "FEW_SOURCES", 0)
        monkeypatch.setattr(scan, "STRETCH", 3)
        monkeypatch.setattr(scan, "LARGEST", 9)


def test_it_works(log: Log) -> None:
    log.append(envelope(type="A"), envelope(type="B"), envelope(type="A", data={"n": 3}))

    assert [e.position for e in search.search(log.line, "type:A").events] == [3, 1]
    assert [e.position for e in search.search(log.line, "data.n>2").events] == [3]
    assert search.count(log.line, "type:A") == (2, True)


@pytest.mark.parametrize("on", ["original", "fork"])
@pytest.mark.usefixtures("limits")
def test_it_finds_what_asking_every_event_finds(on: str) -> None:
    line = history()
    if on == "fork":
        line = forked(line, base=170)
    rng = random.Random(5)
    for text in queries(rng, 60):
        at = rng.choice([None, None, 0, 1, 60, 169, 170, 171, 230, line.head])
        expected = matching(line, text, at=at)
        page = search.search(line, text, at=at, limit=5)
        assert page.events == expected[::-1][:5], text
        assert search.search(line, text, at=at, limit=1000, ascending=True).events == expected, text
        assert search.count(line, text, at=at) == (len(expected), True), text


@pytest.mark.usefixtures("limits")
def test_pages_in_either_direction_make_up_the_whole() -> None:
    line = forked(history(count=120), base=60, count=50)
    for text in ["", "type:Order*", "-type:Order*", "data.total>100", "correlation:c-3,c-4", "T3"]:
        expected = matching(line, text)
        assert all_pages(line, text) == expected[::-1], text
        assert all_pages(line, text, ascending=True) == expected, text
        assert all_pages(line, text, at=100) == matching(line, text, at=100)[::-1], text


def test_before_and_after_are_exclusive_and_bound_the_page_together(log: Log) -> None:
    log.append(*(envelope() for _ in range(9)))
    for ascending in (False, True):
        page = search.search(log.line, "", after=2, before=6, ascending=ascending)
        assert sorted(e.position for e in page.events) == [3, 4, 5]
        assert page.next is None
    assert search.search(log.line, "", before=1).events == []
    assert search.search(log.line, "", after=9).events == []
    assert search.search(log.line, "", after=10**30, before=-(10**30)).events == []
    assert len(search.search(log.line, "", after=-(10**30), before=10**30, at=10**30).events) == 9


def test_an_empty_line_has_no_matches(line: Line) -> None:
    for text in [
        "",
        "type:A",
        "stream:s",
        "data.x:1",
        "at:12:00",
        "handled-by:x",
        "id:1",
        "cause:1",
    ]:
        assert search.search(line, text) == ([], None, True, None)
        assert search.count(line, text) == (0, True)


def test_it_knows_nothing_of_what_came_after_the_moment(log: Log) -> None:
    cause = log.add(type="A")
    log.append(delivery("email", "failed", cause=cause))
    for text in ["handled-by:email/failed", "-handled-by:zzz handled-by:email,x/failed"]:
        assert search.search(log.line, text, at=1).events == []
        assert [e.position for e in search.search(log.line, text, at=2).events] == [1]


def test_it_keeps_to_its_system(log: Log) -> None:
    other = Log(create_system(f"{log.line.slug}-b"))
    mine = {"type": "A", "id": "1", "stream": "s-1", "correlation": "c", "data": {"n": 1}}
    log.append(envelope(**mine), envelope(**mine | {"id": "2"}))
    other.append(envelope(**mine))
    for text in ["", "type:A", "stream:s-1", "stream:s-*", "correlation:c", "id:1", "data.n:1"]:
        assert [e.position for e in search.search(other.line, text).events] == [1], text


@pytest.mark.usefixtures("limits")
def test_a_fork_does_not_take_its_own_event_for_a_cause_the_parent_learnt_of_later(
    log: Log,
) -> None:
    log.append(envelope(causation="late"), delivery("email", "failed", causation="late"))
    other = Log(fork(log.line, base=2))
    log.add(id="late")
    other.add(id="another")
    for text in (
        "cause:3",
        "cause:3..9",
        "cause>2",
        "handled-by:email/failed",
        "handled-by:email -type:x",
    ):
        assert search.search(other.line, text).events == [], text
        assert search.search(log.line, text).events != [], text


def test_limit_is_capped_and_at_least_one(log: Log) -> None:
    log.append(*(envelope() for _ in range(1005)))
    assert len(search.search(log.line, "", limit=5000).events) == 1000
    assert len(search.search(log.line, "", limit=-3).events) == 1


def test_an_error_says_where(log: Log) -> None:
    with pytest.raises(QueryError) as caught:
        search.search(log.line, "type:A nope:3")
    assert caught.value.column == 7


@pytest.mark.parametrize("ascending", [False, True])
def test_a_scan_that_is_out_of_rows_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, ascending: bool
) -> None:
    monkeypatch.setattr(scan, "ROWS", 20)
    monkeypatch.setattr(scan, "LARGEST_WITH_DATA", 8)
    line = history(count=100)
    found, edge, rounds = [], None, 0
    while True:
        bound = {"after" if ascending else "before": edge}
        page = search.search(line, "data.total>250", limit=50, ascending=ascending, **bound)
        found += page.events
        rounds += 1
        if page.complete:
            break
        assert page.next == page.scanned_to
        edge = page.next
    assert rounds > 3
    expected = matching(line, "data.total>250")
    assert found == (expected if ascending else expected[::-1])
    assert not search.count(line, "data.total>250").exact


def test_a_scan_that_is_out_of_time_stops_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    line = history(count=60)
    ticks = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    plain = plan.plan(line, "data.total>=0")
    walk = scan.Scan(plain, seconds=6.5)
    found = [position for matches in walk for position, _ in matches]
    assert not walk.complete
    assert walk.scanned_to == line.head - 6
    expected = [e.position for e in matching(line, "data.total>=0") if e.position >= line.head - 6]
    assert found == expected[::-1]


def test_large_data_is_read_one_event_at_a_time_and_fills_no_page(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PAGE_BYTES", 250_000)
    big = "x" * 100_000
    log.append(*(envelope(data={"n": n, "pad": big}) for n in range(5)), envelope(data={"n": 9}))

    page = search.search(log.line, "data.n>=0", limit=60)
    assert [e.position for e in page.events] == [6, 5, 4]
    assert page.next == 4
    assert [e.position for e in all_pages(log.line, "data.n>=0", limit=60)] == [6, 5, 4, 3, 2, 1]
    assert len(big) > rows.INLINE


def test_what_is_forgotten_matches_no_data(log: Log) -> None:
    log.append(envelope(stream="s-1", data={"n": 1}), envelope(data={"n": 1}))
    forget(log.line, stream="s-1")
    assert [e.position for e in search.search(log.line, "data.n:1").events] == [2]
    assert [e.position for e in search.search(log.line, "-data:*").events] == [1]


def test_every_lane_may_be_different(log: Log) -> None:
    log.append(*(envelope(type=f"T{n}", data={"n": n}) for n in range(150)))
    assert [e.type for e in search.search(log.line, "type:T1*", limit=3).events] == [
        "T149", "T148", "T147"]  # fmt: skip
    assert search.count(log.line, "-type:T1") == (149, True)
    assert search.count(log.line, "-type:T1 data.n>=0") == (149, True)


def test_a_name_is_found_whatever_is_in_it(log: Log) -> None:
    names = ["é", "\U0001f600", "%_", "a'b\"c", "\\", "x" * 300, "\ud7ff", "\uffff", "\U0010ffff"]
    log.append(*(envelope(stream=f"{n}-1", correlation=n, type=n, source=n) for n in names))
    for position, name in enumerate(names, 1):
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in [
            f"stream:{quoted}*", f"correlation:{quoted}", f"type:{quoted} source:{quoted}",
            f'stream:{quoted[:-1]}-1"',
        ]:  # fmt: skip
            assert [e.position for e in search.search(log.line, text).events] == [position], text


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("", "log"), ("type:OrderPlaced", "lanes"), ("stream:order-3 type:OrderPlaced", "index"),
        ("stream:order-*", "index"), ("cause:5", "index"), ("correlation:c-1", "index"),
        ("id:7", "index"), ("handled-by:email", "index"), ("-stream:order-3", "log"),
        ("data.n:1", "log"), ("at:12:00", "log"),
    ],
)  # fmt: skip
def test_it_walks_the_index_of_what_is_asked_for(text: str, driver: str) -> None:
    assert plan.plan(history(count=50), text).driver == driver


def test_a_follower_says_whether_a_new_event_matches(log: Log) -> None:
    follows = search.follower(log.line, "type:A data.n>1")
    log.append(envelope(type="A", data={"n": 2}), envelope(type="A", data={"n": 1}))
    assert [follows(e) for e in everything(log.line)] == [True, False]
    with pytest.raises(QueryError):
        search.follower(log.line, "handled-by:email")


def test_a_page_costs_few_queries(django_assert_max_num_queries: Any) -> None:
    line = history(count=200)
    for text in ["", "type:OrderPlaced source:web", "stream:order-3", "correlation:c-3"]:
        with django_assert_max_num_queries(10):  # 8 outside a transaction, where lanes are known
            search.search(line, text)
