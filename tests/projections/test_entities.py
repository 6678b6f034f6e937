from __future__ import annotations

import random
from typing import Any

import pytest

from apps.eventlog.queries import tallies
from apps.projections.errors import BadExpression
from apps.projections.queries import entities as listing
from apps.projections.queries.batches import states_at
from apps.projections.queries.entities import begun, entities, field_of, what_changed
from apps.projections.queries.states import state_at
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(log: Log) -> Log:
    """40 streams of random patches; s-0 has enough events for snapshots."""
    chance = random.Random(5)
    made = []
    for n in range(2500):
        stream = "s-0" if n % 2 else f"{chance.choice('st')}-{chance.randrange(20)}"
        made.append(envelope(stream=stream, data={chance.choice("abc"): n, "n": n}))
    log.append(*made)
    return log


@pytest.mark.parametrize("at", [0, 1, 900, 2500])
def test_many_states_are_those_of_each(many: Log, at: int) -> None:
    names = [f"{c}-{n}" for c in "st" for n in range(20)]
    for _ in range(2):  # without snapshots, and with those the first time made
        found = states_at(many.line, names, at=at)
        assert found == {name: state_at(many.line, name, at=at).state for name in names}


def test_entities_are_listed_by_their_last_change(many: Log) -> None:
    found = entities(many.line, at=1000, limit=60)
    lasts = [e.last for e in found.entities]
    assert lasts == sorted(lasts, reverse=True)
    expected: dict[str, int] = {}
    for event in many.read(upto=1000):
        expected[event.stream] = event.position
    assert {e.stream: e.last for e in found.entities} == expected
    assert found.complete


def test_entities_by_name_and_by_condition(many: Log) -> None:
    by_name = entities(many.line, at=2500, by_name=True)
    assert [e.stream for e in by_name.entities] == sorted(e.stream for e in by_name.entities)
    prefixed = entities(many.line, at=2500, text="t-1")
    assert all(e.stream.startswith("t-1") for e in prefixed.entities)
    bound = 2490
    some = entities(many.line, at=2500, text=f"n >= {bound}")
    assert {e.stream for e in some.entities} == {
        e.stream for e in many.read(after=bound) if e.stream
    }
    with pytest.raises(BadExpression):
        entities(many.line, at=2500, text="n >")


def test_what_changed_between_two_moments(log: Log) -> None:
    def add(stream: str, data: Any) -> None:
        log.add(stream=stream, data=data)

    add("old", {"v": 1})
    add("gone", {"v": 1})
    add("idle", {"v": 1})
    for stream, data in (("old", {"v": 2}), ("new", {"v": 1}), ("gone", None), ("old", {"v": 3})):
        add(stream, b"null" if data is None else data)
    found = what_changed(log.line, before=3, after=7)
    assert (found.entities, found.created, found.changed, found.deleted) == (3, 1, 1, 1)
    assert {c.stream: c.events for c in found.listed} == {"old": 2, "new": 1, "gone": 1}
    kinds = {c.stream: c.kind for c in found.listed}
    assert kinds == {"old": "changed", "new": "created", "gone": "deleted"}
    (step,) = next(c for c in found.listed if c.stream == "old").changes
    assert (step.path, step.before, step.after) == ("/v", 1, 3)
    back = what_changed(log.line, before=7, after=3)
    assert {c.stream: c.kind for c in back.listed}["new"] == "deleted"
    assert (back.created, back.changed, back.deleted) == (1, 1, 1)
    assert what_changed(log.line, before=3, after=3).entities == 0


@pytest.mark.parametrize(("near", "few"), [(0, tallies.FEW), (0, 0), (tallies.NEAR, tallies.FEW)])
def test_the_counts_are_those_of_looking_at_each(
    log: Log, near: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "NEAR", near)
    monkeypatch.setattr(tallies, "FEW", few)
    monkeypatch.setattr(tallies, "READ", 0)
    chance = random.Random(7)
    alive: list[dict[str, Any]] = [{}]
    for _ in range(120):
        stream, now = f"e-{chance.randrange(15)}", dict(alive[-1])
        data: Any = chance.choice([{"v": chance.randrange(3)}, {"v": 9, "w": None}, b"null"])
        log.add(stream=stream, data=data)
        now[stream] = None if data == b"null" else data
        alive.append(now)
    events = {n: e.stream for n, e in enumerate(log.read(), 1)}
    for low, high in [(0, 120), (10, 11), (50, 120), (30, 90)]:
        found = what_changed(log.line, before=low, after=high)
        touched = {events[n] for n in range(low + 1, high + 1)}
        created = {s for s in touched if s not in alive[low]}
        ended = {s for s in touched if alive[low].get(s) and alive[high][s] is None}
        assert (found.entities, found.created, found.deleted) == (
            len(touched), len(created), len(ended),
        )  # fmt: skip


def test_a_category_stands_for_its_states(many: Log) -> None:
    category = entities(many.line, at=2500, limit=1).entities[0].category
    some = entities(many.line, at=2500, text=f"{category}.n >= 2490")
    assert some.entities
    assert {e.category for e in some.entities} == {category}


def test_what_was_deleted_is_counted_and_not_listed(log: Log) -> None:
    for stream, data in (("a", {"n": 1}), ("b", {"n": 2}), ("b", b"null")):
        log.add(stream=stream, data=data)
    assert [e.stream for e in entities(log.line, at=2).entities] == ["b", "a"]
    found = entities(log.line, at=3)
    assert ([e.stream for e in found.entities], found.deleted) == (["a"], 1)
    assert entities(log.line, at=3, limit=1).entities == found.entities
    assert [e.stream for e in entities(log.line, at=3, deleted=True).entities] == ["b", "a"]
    assert (begun(log.line, at=1), begun(log.line, at=3)) == (1, 2)


def test_entities_in_order_of_a_value(many: Log) -> None:
    found = entities(many.line, at=900, key=lambda state: -state["n"], limit=10)
    expected = sorted((e.state["n"] for e in entities(many.line, at=900).entities), reverse=True)
    assert [e.state["n"] for e in found.entities] == expected[:10]
    assert not found.complete


@pytest.mark.parametrize(
    ("text", "field"),
    [("available < 0", "available"), ("stock.available < 0", "available"), ("stock-", ""),
     ("0 < due", "due"), ("", "")],
)  # fmt: skip
def test_the_field_a_filter_speaks_of(text: str, field: str) -> None:
    assert field_of(text) == field


def test_the_silent_are_listed_behind_a_flood(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LOOKED_BACK", 10)
    log.add(stream="stock-1", data={"available": -1})
    log.append(*[envelope(stream="hot-1", data={"n": n}) for n in range(600)])
    assert [e.stream for e in entities(log.line, at=601).entities] == ["hot-1", "stock-1"]
    found = entities(log.line, at=601, text="available < 0")
    assert [e.stream for e in found.entities] == ["stock-1"]


def test_a_condition_finds_what_changed_long_ago(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LOOKED", 5)
    for n in range(4):
        log.add(stream=f"stock-{n}", data={"available": 1 - n})
    for n in range(20):
        log.add(stream=f"order-{n}", data={"status": "placed"})
    for text in ("available < 0", "stock.available < 0"):
        found = entities(log.line, at=24, text=text)
        assert [e.stream for e in found.entities] == ["stock-3", "stock-2"]
        assert (found.complete, found.looked) == (False, 9)
