"""Scanning by the fields alone finds what scanning whole states finds, and may be followed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Undecodable
from apps.eventlog.queries import facts
from apps.projections import exact, merge
from apps.projections.commands import searches
from apps.projections.errors import BadExpression
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.models import Part, Search
from apps.projections.partial import UNTOUCHED, Reader, fields
from apps.projections.queries import scanning
from apps.projections.queries.finding import find, moments
from apps.projections.queries.states import state_at
from tests.conftest import Log
from tests.factories import envelope

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "é", 'a"b'])
NAMES = st.sampled_from(["a", "b", "op", "after", "payload", "a/b", "é"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ODD = st.sampled_from([
    b"", b"{", b"5", b"null", b"[1]", b'{"a":1e999999}', b'{"b":1E+9999999,"a":2}',
    b'{"\\u0061":7}',
    b'{"a":1,"a":2}', b' {"a":3}', b'{"a":1.50}', b'{"b":"\xff","a":4}', b'{"a":"\\ud800"}',
    b'{"b":' + b"[" * 250 + b"]" * 250 + b',"a":5}', b'{"a":{"x":1}}', b'{"a":{"x":null,"y":2}}',
    b'{"op":"u","before":{},"after":{"a":6,"b":1}}', b'{"payload":{"op":"d","before":{"a":1}}}',
    b'{"o\\u0070":"c","after":{"a":8}}', b'{"a\\/b":9}', b'{"a":"op"}',
])  # fmt: skip
DATA = st.dictionaries(NAMES, VALUES, max_size=4).map(lambda v: json.dumps(v).encode()) | ODD


@given(st.lists(DATA, max_size=8), st.sets(NAMES, min_size=1, max_size=3))
def test_a_part_of_the_state_is_folded_as_the_whole_is(data: list[bytes], names: set[str]) -> None:
    reader = Reader(frozenset(names))
    whole: Any = MISSING
    part: Any = MISSING
    for raw in data:
        try:
            whole = merge.apply(whole, exact.decode(raw))
        except Undecodable:
            pass
        after = reader.merged(part, raw, "application/json")
        part = part if after is UNTOUCHED else after
        seen = {n: part[n] for n in names if n in part} if isinstance(part, dict) else {}
        wanted = {n: whole[n] for n in names if n in whole} if isinstance(whole, dict) else {}
        assert exact.encode(seen) == exact.encode({n: wanted[n] for n in seen if n in wanted})
        assert seen.keys() == wanted.keys()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("state.a < 0", {"a"}), ('state["a"].b > 1 && !has(state.c)', {"a", "c"}),
        ("a-1.x == 2", {"x"}), ("state == null", None), ("size(state) > 2", None),
        ("b-2.x == 1", None), ("state[state.a] == 1", None), ("1 < 2", set()),
        ("state.l.exists(e, e.q > state.m)", {"l", "m"}),
    ],
)  # fmt: skip
def test_which_fields_are_enough(text: str, wanted: set[str] | None) -> None:
    assert fields(Expression(text).tree, "a-1") == wanted


EXPRESSIONS = (
    "state.n > 4", "state.n == 3 && state.b", "!has(state.n)", "state.n < 0", "has(state.late)",
    'stream == "b-1" && state.n > 2', "state.n - 1 >= 5", "a-1.n > 2", "has(state.n)",
)  # fmt: skip


@pytest.fixture
def filled(log: Log) -> Log:
    for n in range(1, 31):
        stream = f"{'ab'[n % 2]}-{n % 3}"
        data: dict[str, Any] = {"n": n % 7, "b": n % 5 == 0, "note": "x" * n}
        if n == 25:
            data = {"late": True, "n": None}
        if n > 28:
            data = {"other": n}
        log.append(envelope(stream=stream, data=data, kind="command" if n % 11 == 0 else "event"))
    return log


@pytest.mark.django_db
@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("stream", ["", "a-*", "a-1", "b-1"])
@pytest.mark.parametrize("after", [0, 9, 26])
def test_it_finds_what_looking_at_whole_states_finds(
    filled: Log, text: str, stream: str, after: int
) -> None:
    expression = Expression(text)
    line = filled.line
    slow = next(
        (m for m in moments(line, stream, expression, after=after, upto=line.head)
         if expression.holds(**m.names)), None,
    )  # fmt: skip
    found = find(line, stream, text, after=after)
    assert (found.position, found.complete) == (slow.position if slow else None, True)
    names = scanning.quick(expression, stream)
    if names is None or not (stream == "" or stream.endswith("*")):
        return
    known = facts.numbers(line, ["a-1", "b-0"]).values()
    for cuts in ([0, 30], [0, 13, 30], [0, 13, 14, 30], [0, 0, 29, 30]):
        of = len(cuts) - 1
        for busy in ((), tuple(known)):
            hits = [
                scanning.scan_fields(
                    line, stream, expression, names, after=after, upto=line.head,
                    tell=lambda checked, at: True,
                    share=facts.Share(n, of, tuple((b, cuts[n], cuts[n + 1]) for b in busy)),
                )
                for n in range(of)
            ]  # fmt: skip
            positions = [hit.position for hit in hits if hit.position is not None]
            assert min(positions, default=None) == found.position, (cuts, busy)


@pytest.mark.django_db
def test_busy_streams_are_shared_out(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BUSY", 2)
    log.append(*[envelope(stream="hot", data={"n": n, "note": "x" * 99}) for n in range(2000)])
    log.append(*[envelope(stream=f"e-{n % 9}", data={"n": n}) for n in range(50)])
    assert scanning.shares(log.line, 2, after=0, upto=2050) == [
        facts.Share(0, 2),
        facts.Share(1, 2),
    ]
    state_at(log.line, "hot")
    first, second = scanning.shares(log.line, 2, after=0, upto=2050)
    ((number, low, cut),) = first.apart
    assert second.apart == ((number, cut, 2050),)
    assert low == 0
    assert 500 < cut < 1500
    for text, wanted in (("state.n == 1999", 2000), ("state.n < 0", None)):
        search = searches.start(log.line, "", text, after=0, upto=2050, owner=1)
        searches.work(search.pk)
        ended = searches.progress(search)
        assert (ended.done, ended.position) == (True, wanted)
    assert ended.checked == 2050  # each event once


@pytest.mark.django_db
@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("stream", ["", "b-1"])
def test_a_search_comes_to_the_same(
    filled: Log, text: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "STRETCH", 5)
    line = filled.line
    search = searches.start(line, stream, text, after=0, upto=line.head, owner=1)
    begun = searches.progress(search)
    assert (begun.done, begun.waiting, begun.share) == (False, True, 0)
    searches.work(search.pk)
    ended = searches.progress(search)
    assert (ended.done, ended.waiting) == (True, False)
    assert ended.position == find(line, stream, text).position
    again = searches.start(line, stream, text, after=0, upto=line.head, owner=1)
    assert again == search


@pytest.mark.django_db
def test_a_search_says_how_far_it_is_and_stops(
    filled: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "TELL_S", 0)
    line = filled.line
    search = searches.start(line, "", "state.n > 99", after=0, upto=line.head, owner=1)
    seen = []
    update = scanning.Pace.on

    def on(pace: scanning.Pace, checked: int, position: int) -> bool:
        going = update(pace, checked, position)
        seen.append(searches.progress(search))
        searches.stop(search)
        return going

    monkeypatch.setattr(scanning.Pace, "on", on)
    monkeypatch.setattr(searches, "SHARES", 1)
    searches.work(search.pk)
    assert 0 < seen[0].share <= 1
    assert seen[0].checked > 0
    search.refresh_from_db()
    assert searches.progress(search).stopped
    searches.work(search.pk)  # one that is stopped is not gone on with
    assert search.parts.filter(done=False).count() == 1


@pytest.mark.django_db
def test_a_part_is_worked_on_by_one_and_taken_over_when_its_lease_runs_out(filled: Log) -> None:
    line = filled.line
    search = searches.start(line, "a-1", "state.n > 99", after=0, upto=line.head, owner=1)
    part = search.parts.get()
    first = searches._taken(search)
    assert first == part
    assert searches._taken(search) is None
    Part.objects.update(lease=1.0)
    assert searches._taken(search) == part


@pytest.mark.django_db
def test_what_is_no_search(filled: Log) -> None:
    line = filled.line
    with pytest.raises(BadExpression):
        searches.start(line, "", "state.", after=0, upto=9, owner=1)
    for n in range(searches.RUNNING):
        searches.start(line, "", f"state.n > {n}", after=0, upto=9, owner=1)
    with pytest.raises(BadExpression, match="running"):
        searches.start(line, "", "state.n > 77", after=0, upto=9, owner=1)
    searches.start(line, "", "state.n > 77", after=0, upto=9, owner=2)
    searches.stop(Search.objects.earliest("pk"))
    searches.start(line, "", "state.n > 77", after=0, upto=9, owner=1)


@pytest.mark.django_db
def test_what_goes_wrong_is_said(filled: Log) -> None:
    search = searches.start(filled.line, "", "1 / state.n > 5", after=0, upto=30, owner=1)
    searches.work(search.pk)
    search.refresh_from_db()
    assert "divides by zero" in searches.progress(search).error
