"""A producer with a type of its own for every event: what is held in memory stays bounded."""

from __future__ import annotations

import pytest

from apps.eventlog import memory
from apps.eventlog.commands import remember
from apps.eventlog.commands.systems import create_system
from apps.eventlog.queries import counts, lanes, log
from apps.eventlog.queries.search import count, search
from tests.conftest import Log
from tests.factories import delivery, envelope

TYPES = 30


@pytest.fixture
def wide(log: Log) -> Log:
    for n in range(TYPES):
        log.append(envelope(type=f"T{n}", stream=f"s-{n % 3}"), delivery("mail", "failed"))
    return log


@pytest.mark.django_db(transaction=True)
def test_a_writer_forgets_lanes_and_looks_them_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LANES", 5)
    made = Log(create_system("wide"))
    for n in range(TYPES):
        made.append(envelope(type=f"T{n}"), delivery("mail", "failed"))
        made.append(envelope(type="T0"), delivery("mail", "failed"))
    (held,) = (m for key, m in remember._memories.items() if key[1] == made.line.timeline)
    assert len(held.strings) <= 5
    assert [e.type for e in made.read() if e.kind == "event"] == [
        name for n in range(TYPES) for name in (f"T{n}", "T0")
    ]
    whole = counts.histogram(made.line, start=0, end=1 << 52, bins=1)
    assert (whole[0].count, whole[0].failed) == (4 * TYPES, 2 * TYPES)
    assert len(lanes.lanes(made.line.system)) == TYPES + 1


@pytest.mark.django_db(transaction=True)
def test_readers_hold_so_many_and_answer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Log(create_system("wide"))
    made.append(*(envelope(type=f"T{n}") for n in range(TYPES)))
    before = lanes.lanes(made.line.system), [e.type for e in made.read()]
    for most in (TYPES, 5):
        monkeypatch.setattr(lanes, "HELD", most)
        monkeypatch.setattr(lanes, "_known", {})
        monkeypatch.setattr(lanes, "_whole", {})
        assert (lanes.lanes(made.line.system), [e.type for e in made.read()]) == before
        assert sum(map(len, lanes._whole.values())) <= most
        assert sum(map(len, lanes._known.values())) <= most
        assert search(made.line, "type:T7").events[0].type == "T7"


def test_facets_of_too_many_types_are_counted_by_looking(
    wide: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_rollups = [counts.facets(wide.line, text) for text in ("", "type:T*", "-kind:delivery")]
    monkeypatch.setattr(counts, "COUNTED", 10)
    by_looking = [counts.facets(wide.line, text) for text in ("", "type:T*", "-kind:delivery")]
    assert by_looking == by_rollups
    assert all(found.exact for found in by_looking)
    assert count(wide.line, "type:T*").n == TYPES
    assert log.line(wide.line.slug).head == 2 * TYPES
