"""Compacting: old events give way to the state they left, later rewinds go on, erasing erases."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.eventlog.commands.forget import forget
from apps.projections.commands import compact
from apps.projections.commands.codes import keep_code
from apps.projections.commands.rebuild import drop_snapshots
from apps.projections.models import Snapshot
from apps.projections.queries import snapshots as keeping
from apps.projections.queries.entities import entities
from apps.projections.queries.finding import find
from apps.projections.queries.histories import history
from apps.projections.queries.states import state_at
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db
ADDING = """
def reducer(state, event):
    return {"sum": (state or {"sum": 0})["sum"] + event.data.get("n", 0)}
"""
STREAMS = ("a-1", "a-2", "b-1")


@pytest.fixture
def filled(log: Log) -> Log:
    for n in range(1, 61):
        data: Any = {"n": n, f"f{n % 4}": {"by": n}, "secret": f"s{n}"}
        log.add(stream=STREAMS[n % 3], data=b"null" if n == 20 else data)
    keep_code(log.line, "adding", ADDING, streams="a-*", owner=1)
    return log


def seen(log: Log, start: int) -> dict[Any, Any]:
    """Return every state and who set it, merged and by code, from a position on."""
    found: dict[Any, Any] = {}
    for at in range(start, 61):
        for stream in STREAMS:
            merged = state_at(log.line, stream, at=at, marks=True)
            found[at, stream] = (merged.state, merged.marks, merged.last, merged.error)
            if stream.startswith("a"):
                code = state_at(log.line, stream, at=at, projection="adding", marks=True)
                found[at, stream, "adding"] = (code.state, code.marks, code.error)
    return found


def test_later_rewinds_are_what_they_were(filled: Log) -> None:
    before = seen(filled, 40)
    list_before = entities(filled.line, at=60).entities
    late = history(filled.line, "a-1", field="/n", after=42).entries
    assert forget(filled.line, before=41, keep_state=True) == 40
    assert seen(filled, 40) == before
    drop_snapshots(filled.line)
    assert seen(filled, 40) == before
    assert entities(filled.line, at=60).entities == list_before
    assert history(filled.line, "a-1", field="/n", after=42).entries == late
    assert Snapshot.objects.filter(kept=True).count() == 5


def test_earlier_ones_say_why_not(filled: Log) -> None:
    forget(filled.line, before=41, keep_state=True)
    for stream in STREAMS:
        found = state_at(filled.line, stream, at=30)
        assert "compacted" in found.error
        assert f"#{max(p for p in range(1, 41) if STREAMS[p % 3] == stream)}" in found.error


def test_searching_and_walking_pass_over_what_is_gone(filled: Log) -> None:
    texts = ("state.n > 45", "state.f1.by < 44 && state.n > 50", "size(state) > 3", "state.n < 39")

    def answers() -> list[int | None]:
        return [
            find(filled.line, where, text, after=40).position
            for text in texts
            for where in ("a-1", "a-*", "")
        ]

    wanted = answers()
    assert any(wanted)
    forget(filled.line, before=41, keep_state=True)
    assert answers() == wanted
    assert find(filled.line, "", "has(state.f0) && has(state.f1)").position in (38, 39, 40)
    first, *rest = history(filled.line, "a-1", field="/f1").entries
    assert first.position in (38, 39, 40)
    assert all(entry.position > 40 for entry in rest)
    assert find(filled.line, "a-1", "state.sum > 0", projection="adding").position in (38, 39, 40)


def test_compacting_goes_on_later(filled: Log) -> None:
    before = seen(filled, 50)
    forget(filled.line, before=21, keep_state=True)
    forget(filled.line, before=51, keep_state=True)
    assert seen(filled, 50) == before
    assert Snapshot.objects.filter(kept=True).count() == 5


def test_what_is_erased_for_good_is_in_no_state(filled: Log) -> None:
    forget(filled.line, before=41, keep_state=True)
    forget(filled.line, stream="a-1")
    assert Snapshot.objects.filter(kept=True).count() == 3
    forget(filled.line, before=41)
    assert not Snapshot.objects.exists()
    assert "deleted" in state_at(filled.line, "b-1", at=60).error


def test_states_that_disagree_stop_everything(filled: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "with_any", lambda _line, _code, streams, **_: set(streams))
    monkeypatch.setattr(compact, "state_at", lambda *_, **__: state_at(filled.line, "a-1", at=1))
    with pytest.raises(compact.Disagreement):
        forget(filled.line, before=41, keep_state=True)
    assert all(event.data is not None for event in filled.read())


def test_code_made_later_says_what_it_misses(filled: Log) -> None:
    forget(filled.line, before=41, keep_state=True)
    keep_code(filled.line, "adding", ADDING + "# new\n", streams="a-*", owner=1)
    assert "deleted" in state_at(filled.line, "a-1", at=60, projection="adding").error


def test_the_command(filled: Log, capsys: pytest.CaptureFixture[str]) -> None:
    slug = filled.line.slug
    call_command("forget", slug, before="41", keep_state=True)
    assert capsys.readouterr().out == "40 events forgotten.\n"
    assert state_at(filled.line, "b-1", at=60).state["n"] == 59
    with pytest.raises(CommandError, match="--before"):
        call_command("forget", slug, stream="b-1", keep_state=True)


def test_an_empty_log_keeps_nothing(log: Log) -> None:
    log.append(envelope(stream="x", data={"n": 1}))
    assert forget(log.line, before=1, keep_state=True) == 0
    assert not Snapshot.objects.exists()
