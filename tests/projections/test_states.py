from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from apps.eventlog.commands.forget import forget
from apps.eventlog.commands.systems import fork
from apps.eventlog.envelope import Envelope
from apps.eventlog.queries import facts
from apps.eventlog.queries import log as reading
from apps.projections import blame, exact, merge
from apps.projections.commands.rebuild import drop_snapshots
from apps.projections.errors import UnknownProjection, UnknownStream
from apps.projections.exact import MISSING
from apps.projections.models import Snapshot
from apps.projections.queries.histories import history
from apps.projections.queries.states import diff, state_at
from tests.conftest import Log
from tests.factories import delivery, envelope

pytestmark = pytest.mark.django_db


def patch(stream: str, data: Any, **fields: Any) -> Envelope:
    return envelope(stream=stream, data=data, **fields)


@pytest.fixture
def story(log: Log) -> Log:
    """Two streams of random patches between each other, enough of them for snapshots."""
    chance = random.Random(7)
    made = []
    for n in range(1500):
        key = chance.choice("abcdefgh")
        data = {key: chance.choice([n, None, {"x": n}]), "n": n, "list": [{"id": n % 3, "v": n}]}
        made.append(patch(f"s-{n % 2}", data))
    log.append(*made)
    return log


def slowly(log: Log, stream: str, at: int) -> tuple[Any, dict[str, int]]:
    state, marks = MISSING, MISSING
    for event in log.read(upto=at):
        if event.stream == stream and event.kind == "event":
            data = exact.decode(event.data or b"", event.content_type)
            state, marks = blame.applied(state, marks, data, event.position)
    return state, blame.flat(marks)


def test_a_state_is_the_fold_of_its_stream(log: Log) -> None:
    log.append(
        patch("a", {"x": 1}), patch("b", {"x": 5}), patch("a", {"y": 2}),
        patch("a", {"x": 9}, kind="command"), delivery("s", stream="a", cause=1),
    )  # fmt: skip
    found = state_at(log.line, "a")
    assert found.state == {"x": 1, "y": 2}
    assert (found.position, found.last, found.cost.folded) == (5, 3, 2)
    assert state_at(log.line, "a", at=2).state == {"x": 1}


def test_before_its_first_event_a_stream_has_no_state(log: Log) -> None:
    log.append(patch("b", {}), patch("a", {"x": 1}))
    assert state_at(log.line, "a", at=1).state is MISSING
    assert not state_at(log.line, "a", at=0).exists


def test_a_stream_there_never_is(log: Log, line: Any) -> None:
    log.append(patch("a", {}))
    for name in ("nothing", "", "nul\0"):
        with pytest.raises(UnknownStream):
            state_at(log.line, name)
    side = fork(log.line, base=0)
    with pytest.raises(UnknownStream):  # the system has it, this timeline does not
        state_at(reading.line(side.slug, timeline=side.timeline), "a")
    with pytest.raises(UnknownProjection):
        state_at(log.line, "a", projection="nothing")


@pytest.mark.parametrize("at", [1, 2, 700, 701, 1100, 1499, 1500])
def test_snapshots_change_no_answer(story: Log, at: int) -> None:
    state_at(story.line, "s-0")  # makes them
    assert Snapshot.objects.exists()
    for stream in ("s-0", "s-1"):
        warm = state_at(story.line, stream, at=at, marks=True)
        expected = slowly(story, stream, at)
        assert (warm.state, blame.flat(warm.marks)) == expected
    drop_snapshots(story.line)
    cold = state_at(story.line, "s-0", at=at, marks=True)
    assert (cold.state, blame.flat(cold.marks)) == slowly(story, "s-0", at)


def test_a_snapshot_spares_the_fold(story: Log) -> None:
    cold = state_at(story.line, "s-0")
    warm = state_at(story.line, "s-0")
    assert cold.cost.snapshot is None
    assert cold.cost.folded == 750
    assert warm.cost.snapshot is not None
    assert warm.cost.folded < 500
    assert warm.state == cold.state


def test_snapshots_are_small_beside_the_log(story: Log) -> None:
    state_at(story.line, "s-0")
    stored = sum(len(s.state) + len(s.marks) for s in Snapshot.objects.all())
    size = sum(len(e.data or b"") + 100 for e in story.read() if e.stream == "s-0")
    assert 0 < stored <= size / 50


def test_a_fork_uses_its_parents_snapshots_up_to_its_base(story: Log) -> None:
    made = state_at(story.line, "s-0")
    side = fork(story.line, base=1200)
    from apps.eventlog.commands.append import append

    append(side, [patch("s-0", {"n": "fork"})])
    line = reading.line(side.slug, timeline=side.timeline)
    found = state_at(line, "s-0")
    assert found.state["n"] == "fork"
    assert found.cost.snapshot is not None
    assert found.cost.snapshot <= 1200
    assert state_at(story.line, "s-0").state == made.state


def test_numbers_stay_exact(log: Log) -> None:
    log.append(
        patch("a", b'{"big": 123456789012345678901234567890, "f": 1.0, "e": 1.0e1}'),
        patch("a", b'{"price": 129.00}'),
    )
    found = state_at(log.line, "a").state
    assert found["big"] == 123456789012345678901234567890
    raw = exact.encode(found)
    assert b'"f":1.0' in raw
    assert b'"price":129.00' in raw
    assert exact.same(exact.decode(raw), found)
    assert isinstance(found["e"], Decimal)


def test_an_event_that_cannot_be_read_is_left_out_and_named(log: Log) -> None:
    log.append(
        patch("a", {"x": 1}), patch("a", b"{nonsense"), patch("a", b"", content_type="text/plain"),
        patch("a", {"y": 2}),
    )  # fmt: skip
    found = state_at(log.line, "a")
    assert found.state == {"x": 1, "y": 2}
    assert found.error.startswith("#2: its data was left out")


def test_a_state_is_not_nested_without_end(log: Log) -> None:
    deep = b'{"a":' * 250 + b"1" + b"}" * 250
    log.append(patch("a", {"x": 1}), patch("a", deep), patch("a", b"[" * 5000 + b"]" * 5000))
    found = state_at(log.line, "a")
    assert found.state == {"x": 1}
    assert "#3" in found.error


def test_what_was_deleted_is_null(log: Log) -> None:
    log.append(patch("a", {"x": 1}), patch("a", b"null"), patch("a", {"z": 1}))
    gone = state_at(log.line, "a", at=2)
    assert gone.state is None
    assert not gone.exists
    assert state_at(log.line, "a").state == {"z": 1}


def test_forgetting_takes_the_snapshots_along(story: Log) -> None:
    state_at(story.line, "s-0")
    forget(story.line, before=1000)
    assert not Snapshot.objects.exists()
    found = state_at(story.line, "s-0")
    assert "was deleted" in found.error
    assert found.state["n"] == 1498


def test_names_of_any_characters(log: Log) -> None:
    for name in ("a/b?c#d", "ünï🚀", " blank ", "quote'\"", "%41"):
        log.append(patch(name, {"me": name}))
        assert state_at(log.line, name).state == {"me": name}


def test_a_diff_is_what_changed_between_two_moments(log: Log) -> None:
    log.append(patch("a", {"x": 1}), patch("a", {"x": 2, "y": 1}))
    steps = diff(log.line, "a", before=1, after=2)
    assert [(s.op, s.path) for s in steps] == [("replace", "/x"), ("add", "/y")]
    back = diff(log.line, "a", before=2, after=1)
    assert [(s.op, s.path) for s in back] == [("replace", "/x"), ("remove", "/y")]
    assert diff(log.line, "a", before=0, after=1)[0].op == "add"


def test_a_history_has_one_entry_per_change(story: Log) -> None:
    entries = history(story.line, "s-0", field="/a").entries
    expected, before = [], MISSING
    state: Any = MISSING
    for event in story.read():
        if event.stream == "s-0":
            state = merge.apply(state, json.loads(event.data or b""))
            now = exact.at(state, "/a")
            if not exact.same(now, before):
                expected.append((event.position, now))
            before = now
    assert [(e.position, e.value) for e in entries] == expected
    assert all(e.log_time for e in entries)


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_history_in_pages_is_the_history(story: Log, limit: int) -> None:
    state_at(story.line, "s-0")
    whole = history(story.line, "s-0", field="/b", limit=5000)
    assert whole.next is None
    paged: list[Any] = []
    after = 0
    while True:
        page = history(story.line, "s-0", field="/b", after=after, limit=limit)
        paged += page.entries
        if page.next is None:
            break
        after = page.next
    assert paged == whole.entries


def test_a_history_needs_a_pointer_and_a_stream(log: Log) -> None:
    log.append(patch("a", {"x": 1}))
    with pytest.raises(ValueError, match="JSON pointer"):
        history(log.line, "a", field="x")
    with pytest.raises(UnknownStream):
        history(log.line, "b")


@pytest.mark.parametrize(("first", "rows"), [(1, 1), (2, 3), (7, 50), (5000, 5000)])
def test_any_size_of_page_gives_the_same(
    story: Log, monkeypatch: pytest.MonkeyPatch, first: int, rows: int
) -> None:
    moments = (1, 2, 399, 700, 1500)
    wanted = [slowly(story, "s-1", at) for at in moments]
    changes = history(story.line, "s-1", field="/a", upto=300).entries
    drop_snapshots(story.line)
    monkeypatch.setattr(facts, "FIRST_ROWS", first)
    monkeypatch.setattr(facts, "PAGE_ROWS", rows)
    for at, (state, marks) in zip(moments, wanted, strict=True):
        found = state_at(story.line, "s-1", at=at, marks=True)
        assert exact.encode(found.state) == exact.encode(state)
        assert blame.flat(found.marks) == marks
    assert history(story.line, "s-1", field="/a", upto=300).entries == changes


def test_a_jump_folds_only_what_follows_the_nearest_snapshot(story: Log) -> None:
    state_at(story.line, "s-1")
    places = sorted(row.place & ((1 << 40) - 1) for row in Snapshot.objects.all())
    mine = [event.position for event in story.read() if event.stream == "s-1"]
    assert len(places) > 2
    for at in (1500, 80, 1400, 700, 1500, 3):
        found = state_at(story.line, "s-1", at=at)
        base = max((place for place in places if place <= at), default=0)
        assert found.cost.snapshot == (base or None)
        assert found.cost.folded == sum(base < position <= at for position in mine)
