"""The writer against a real database: groups, bounds, poison, outages, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import DataError, OperationalError

from apps.eventlog.envelope import Envelope
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest import queries
from apps.ingest.jobs import Job, Rejected, Stored, rejected
from apps.ingest.models import Reject
from apps.ingest.problems import Problem, Refused
from apps.ingest.writer import batch, queue, waiting
from apps.ingest.writer.queue import Writer
from tests.factories import delivery, envelope

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """A writer of our own, and short ways to hand it jobs."""

    def __init__(self, timeline: int, **bounds: int) -> None:
        self.timeline = timeline
        self.writer = Writer(**({"max_events": 1000, "max_bytes": 10_000_000} | bounds))

    def hand(self, *envelopes: Envelope, rejects: Sequence[Rejected] = ()) -> Future[Stored]:
        """Submit one job and return what will become of it."""
        future: Future[Stored] = Future()

        def done(outcome: Stored | Exception) -> None:
            assert not future.done(), "a job is answered once"
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.writer.submit(Job(self.timeline, envelopes, done, rejects))
        return future

    def store(self, *envelopes: Envelope, **more: Any) -> Stored:
        return self.hand(*envelopes, **more).result(30)


@pytest.fixture
def timeline(transactional_db: None) -> Line:
    from apps.eventlog.commands.systems import create_system

    return create_system("written")


@pytest.fixture
def desk(timeline: Line) -> Iterator[Desk]:
    desk = Desk(timeline.timeline)
    yield desk
    desk.writer.close(10)


class Held:
    """Holds every commit until it is let go."""

    def __init__(self) -> None:
        self._begun, self._gate = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self._begun.set()
        assert self._gate.wait(30)

    def hold(self, job: Future[Stored]) -> Future[Stored]:
        """Return once the writer is busy with a job: what is handed in now waits behind it."""
        assert self._begun.wait(30)
        return job

    def __call__(self) -> None:
        self._gate.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held, write = Held(), batch.write

    def slowly(*args: Any) -> Any:
        held.pass_through()
        return write(*args)

    monkeypatch.setattr(batch, "write", slowly)
    return held


def stored(line: Line) -> list[str]:
    """Return the ids in the log, in order."""
    return [event.id for event in log.read(log.line(line.slug))]


def test_it_works(desk: Desk, timeline: Line) -> None:
    outcome = desk.store(envelope(id="a"), envelope(id="b"))

    assert outcome == Stored(2, [1, 2], 2, 0, {}, [])
    assert stored(timeline) == ["a", "b"]


def test_many_jobs_share_a_commit_and_each_gets_its_own_answer(
    desk: Desk, timeline: Line, held: Held
) -> None:
    first = held.hold(desk.hand(envelope(id="a")))
    others = [
        desk.hand(envelope(id="b", data=1), envelope(id="a", data=2)),
        desk.hand(envelope(id="c"), envelope(id="b", data=1)),
        desk.hand(),
        desk.hand(envelope(id="d")),
    ]
    held()

    assert first.result(30) == Stored(1, [1], 1, 0, {}, [])
    assert [f.result(30) for f in others] == [
        Stored(5, [2, 3], 2, 0, {1: 1}, []),
        Stored(5, [4, 2], 1, 1, {}, []),
        Stored(5, [], 0, 0, {}, []),
        Stored(5, [5], 1, 0, {}, []),
    ]
    assert desk.writer.counts["commits"] == 2
    assert stored(timeline) == ["a", "b", "a", "c", "d"]


def test_rejects_are_kept_with_their_neighbours(desk: Desk, timeline: Line) -> None:
    bad = rejected(
        b"\x00\xff" * 50_000, Problem(1, "invalid_utf8", "no \0 text"), origin="f\0", line=7
    )

    desk.store(envelope(id="a"), rejects=[bad])

    (row,) = queries.rejects(timeline)
    assert (row.origin, row.line, row.code, row.detail) == (
        "f\\0",
        7,
        "invalid_utf8",
        "no \\0 text",
    )
    assert (row.size, bytes(row.data)) == (100_000, b"\x00\xff" * 32_768)


def test_timelines_do_not_mix(desk: Desk, timeline: Line, held: Held) -> None:
    from apps.eventlog.commands.systems import create_system

    other = Desk(create_system("other").timeline)
    other.writer = desk.writer
    futures = [
        desk.hand(envelope(id="a")),
        other.hand(envelope(id="x")),
        desk.hand(envelope(id="b")),
    ]
    held()

    assert [f.result(30).positions for f in futures] == [[1], [1], [2]]
    assert stored(timeline) == ["a", "b"]


def test_a_position_to_come_is_a_problem_of_its_own(desk: Desk, timeline: Line) -> None:
    desk.store(envelope(id="a"))

    outcome = desk.store(
        delivery("s", cause=1, id="x"),
        delivery("s", cause=2, id="y"),
        delivery("s", cause=1, id="z"),
    )

    assert outcome.positions == [2, None, 3]
    assert [(p.index, p.code) for p in outcome.problems] == [(1, "unknown_position")]


def until(condition: Callable[[], bool]) -> None:
    """Return once something is so; fail when that takes half a minute."""
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception, *, ids: set[str]) -> None:
    """Have the database refuse events with these ids."""
    append = batch.append  # type: ignore[attr-defined]

    def picky(timeline: int, envelopes: Sequence[Envelope], **how: Any) -> Any:
        if ids & {e.id for e in envelopes}:
            raise error
        return append(timeline, envelopes, **how)

    monkeypatch.setattr(batch, "append", picky)


@pytest.mark.parametrize("error", [DataError("poison"), ValueError("a bug"), KeyError("a bug")])
def test_a_poisonous_event_costs_nobody_else_theirs(
    error: Exception, desk: Desk, timeline: Line, held: Held,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    refusing(monkeypatch, error, ids={"bad", "worse"})
    jobs = [
        desk.hand(envelope(id="a")),
        desk.hand(envelope(id="b"), envelope(id="bad"), envelope(id="c"), envelope(id="worse")),
        desk.hand(envelope(id="d")),
        desk.hand(envelope(id="bad")),
        desk.hand(envelope(id="e")),
    ]
    held()
    outcomes = [job.result(30) for job in jobs]

    assert sorted(stored(timeline)) == ["a", "b", "c", "d", "e"]
    assert [len([p for p in o.positions if p]) for o in outcomes] == [1, 2, 1, 0, 1]
    assert [(p.index, p.code) for p in outcomes[1].problems] == [
        (1, "not_storable"), (3, "not_storable"),
    ]  # fmt: skip
    assert [p.index for p in outcomes[3].problems] == [0]
    assert desk.writer.proof() == ""


def test_an_outage_is_told_to_all_and_heals_by_itself(
    desk: Desk, timeline: Line, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PROBE_S", 0.01)
    gone = threading.Event()
    beat = queue.beat  # type: ignore[attr-defined]

    def fail(*_: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(queue, "beat", lambda name: fail() if gone.is_set() else beat(name))
    monkeypatch.setattr(batch, "append", fail)
    gone.set()
    jobs = [desk.hand(envelope(id=str(n))) for n in range(5)]
    held()

    for job in jobs:
        with pytest.raises(Refused) as refused:
            job.result(30)
        assert (refused.value.status, refused.value.retry_after) == (503, 5)
    with pytest.raises(Refused, match="OperationalError"):
        desk.hand(envelope())
    assert "OperationalError" in desk.writer.proof()
    assert desk.writer.waiting.events == desk.writer.waiting.bytes == 0

    monkeypatch.undo()
    gone.clear()
    until(lambda: not desk.writer.waiting.trouble)
    desk.store(envelope(id="after"))
    assert stored(timeline) == ["after"]


def test_a_full_queue_refuses_and_patience_is_told_to_wait(timeline: Line, held: Held) -> None:
    desk = Desk(timeline.timeline, max_events=3)
    # Alone it is taken whatever its size.
    first = held.hold(desk.hand(*[envelope() for _ in range(9)]))
    desk.hand()
    with pytest.raises(Refused) as refused:
        desk.hand(envelope())
    assert (refused.value.status, refused.value.code) == (429, "queue_full")
    assert refused.value.retry_after == 1
    job = Job(timeline.timeline, [envelope()], lambda _: None)
    assert desk.writer.submit(job, patient=True) is False
    held()
    assert first.result(30).stored == 9
    desk.writer.close(10)


def test_bytes_are_bounded_too(timeline: Line, held: Held) -> None:
    desk = Desk(timeline.timeline, max_bytes=10_000)
    held.hold(desk.hand(envelope()))
    desk.hand(envelope())
    with pytest.raises(Refused, match="waiting"):
        desk.hand(envelope(data=b"x" * 20_000))
    held()
    desk.writer.close(10)


def test_closing_writes_what_waits_and_takes_no_more(
    desk: Desk, timeline: Line, held: Held
) -> None:
    jobs = [desk.hand(envelope(id=str(n))) for n in range(3)]
    held()
    desk.writer.close(10)
    desk.writer.close(10)

    assert [job.result(0).stored for job in jobs] == [1, 1, 1]
    assert stored(timeline) == ["0", "1", "2"]
    with pytest.raises(Refused, match="stopping"):
        desk.hand(envelope())
    assert desk.writer.proof() == "evdebug is stopping"


def test_what_cannot_be_written_in_time_is_refused(desk: Desk, held: Held, timeline: Line) -> None:
    under_way = held.hold(desk.hand(envelope(id="a")))
    waiting_behind = desk.hand(envelope(id="b"))
    desk.writer.close(0.1)

    with pytest.raises(Refused, match="stopping"):
        waiting_behind.result(0)
    held()
    assert under_way.result(30).stored == 1


def test_a_system_that_is_gone_is_refused(transactional_db: None) -> None:
    desk = Desk(4711)
    with pytest.raises(Refused) as refused:
        desk.store(envelope())
    assert (refused.value.status, refused.value.code) == (403, "unknown_system")
    desk.writer.close(10)


def test_proof_is_a_write_where_none_was_made_lately(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[str] = []
    beat = queue.beat  # type: ignore[attr-defined]

    def counted(name: str) -> None:
        beats.append(name)
        beat(name)

    monkeypatch.setattr(queue, "beat", counted)
    assert desk.writer.proof() == ""
    assert desk.writer.proof() == ""
    assert beats == ["ingest"]


def test_proof_does_not_wait_for_ever(
    desk: Desk, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    job = held.hold(desk.hand(envelope()))
    assert "no write within" in desk.writer.proof()
    held()
    job.result(30)


def test_health(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_current", desk.writer)
    assert queries.health() == queries.Health(True, "", 0, 0)
    desk.writer.close(10)
    assert not queries.health().ok


def test_the_database_of_a_reject_is_that_of_the_events(
    desk: Desk, timeline: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both or neither: an event whose reject cannot be kept is not stored either."""

    def fail(*_: object) -> None:
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(batch, "keep", fail)
    with pytest.raises(Refused):
        desk.store(
            envelope(id="a"), rejects=[rejected(b"x", Problem(0, "c", "d"), origin="o", line=1)]
        )
    assert stored(timeline) == []
    assert not Reject.objects.exists()
