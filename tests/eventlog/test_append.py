from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.eventlog import seen, store
from apps.eventlog.commands import remember
from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system, fork
from apps.eventlog.envelope import Envelope, Recorded
from apps.eventlog.errors import UnknownTimeline, WrongRevision
from apps.eventlog.models import Rollup
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.signals import appended
from tests.eventlog.model import Model

pytestmark = pytest.mark.django_db

NOW = 1_800_000_000_000_000


def made(**fields: object) -> Envelope:
    return Envelope(**({"type": "T", "id": str(uuid.uuid4())} | fields))  # type: ignore[arg-type]


@pytest.fixture
def line() -> Line:
    return create_system(f"s-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of 16 positions with filters that err often, so that a few events fill several."""
    monkeypatch.setattr(seen, "RUN_BITS", 4)
    monkeypatch.setattr(seen, "RUN", 16)
    monkeypatch.setattr(seen, "SLOTS", 128)
    yield
    remember.forget_all()


def now_of(line: Line) -> Line:
    return log.line(line.slug, timeline=line.timeline)


def everything(line: Line) -> list[Recorded]:
    return log.read(now_of(line), limit=5000)


def test_it_works(line: Line) -> None:
    result = append(line, [made(id="1", data=b"{}"), made(id="2")], now=NOW)

    assert (result.head, result.positions, result.stored, result.duplicates) == (2, [1, 2], 2, 0)
    assert [e.id for e in everything(line)] == ["1", "2"]


def test_an_empty_batch_changes_nothing(line: Line) -> None:
    assert append(line, []).head == 0
    assert append(line, [made()]).head == 1


def test_it_takes_a_redelivered_event_once(line: Line) -> None:
    event = made(id="1", source="/a", data=b"1")
    append(line, [event])

    again = append(line, [made(id="2"), event, event])

    assert (again.positions, again.stored, again.duplicates) == ([2, 1, 1], 1, 2)
    assert everything(line)[0].seen == 3


def test_same_id_with_other_content_is_kept_and_flagged(line: Line) -> None:
    append(line, [made(id="1", data=b"1")])

    result = append(line, [made(id="1", data=b"2"), made(id="1", data=b"3")])

    assert (result.positions, result.conflicts) == ([2, 3], {0: 1, 1: 1})
    assert [e.conflicts_with for e in everything(line)] == [None, 1, 1]


def test_the_same_id_of_another_source_is_another_event(line: Line) -> None:
    append(line, [made(id="1", source="/a"), made(id="1", source="/b")])
    assert [e.conflicts_with for e in everything(line)] == [None, None]
    assert [e.source for e in log.by_id(now_of(line), "1")] == ["/a", "/b"]


def test_streams_count_their_revisions(line: Line) -> None:
    append(line, [made(stream="order-1"), made(stream="order-2"), made(stream="order-1"), made()])
    append(line, [made(stream="order-1")])
    assert [e.revision for e in everything(line)] == [0, 0, 1, None, 2]


def test_names_are_looked_up_one_by_one_in_a_table_nobody_knows_yet(line: Line) -> None:
    """Young, it has no statistics, and a database might read all names to find a few."""
    append(line, [made(stream=f"order-{n}") for n in range(2000)])
    remember.forget_all()
    with CaptureQueriesContext(connection) as asked:
        append(line, [made(stream=f"order-{n}") for n in range(0, 2000, 200)])
    looks = "SELECT name, id" if store.sqlite() else "SELECT n.name"
    look_up = next(q["sql"] for q in asked if q["sql"].startswith(looks))
    explain = "EXPLAIN QUERY PLAN " if store.sqlite() else "EXPLAIN "
    plan = "\n".join(map(str, store.fetch(explain + look_up.replace("%", "%%"))))
    expected = "system_id=? AND name=?" if store.sqlite() else "name)::text = n.name"
    assert expected in plan, plan


def test_a_wrong_expected_revision_writes_nothing(line: Line) -> None:
    append(line, [made(stream="order-1")])

    with pytest.raises(WrongRevision, match="is at revision 0, not -1"):
        append(line, [made(stream="order-1")], expected={"order-1": -1})
    with pytest.raises(WrongRevision, match="is at revision -1, not 3"):
        append(line, [made(stream="new")], expected={"new": 3})

    assert append(line, [made(stream="order-1")], expected={"order-1": 0, "new": -1}).head == 2


def test_log_time_never_falls_and_never_lies_in_the_future(line: Line) -> None:
    times = [NOW - 5, NOW - 9, None, NOW + 10**9, NOW - 1]
    append(line, [made(time=t) for t in times], now=NOW)
    assert [e.log_time for e in everything(line)] == [NOW - 5, NOW - 5, NOW, NOW, NOW]


def test_an_effect_may_arrive_before_its_cause(line: Line) -> None:
    append(line, [made(id="effect", causation="cause")])
    assert everything(line)[0].causation == "cause"
    assert everything(line)[0].cause is None

    append(line, [made(id="cause"), made(id="later", causation="cause")])

    assert [e.cause for e in everything(line)] == [2, None, 2]
    assert [e.causation for e in everything(line)] == ["cause", "", "cause"]
    assert [e.position for e in log.effects(now_of(line), 2)] == [1, 3]


def test_an_event_may_name_itself_as_its_cause(line: Line) -> None:
    append(line, [made(id="1", causation="1")])
    assert everything(line)[0].cause == 1


def test_a_delivery_belongs_to_its_events_correlation(line: Line) -> None:
    def delivery(name: str, **fields: object) -> Envelope:
        return made(id=name, kind="delivery", type="handled", source="payments", **fields)

    append(line, [delivery("early", causation="1", causation_source="/web")])
    append(line, [made(id="1", source="/web", correlation="c-1"), made(id="1", source="/else")])
    append(line, [delivery("late", cause=2), delivery("other", causation="1")])

    assert [(e.cause, e.correlation) for e in everything(line) if e.kind == "delivery"] == [
        (2, "c-1"),
        (2, "c-1"),
        (3, ""),
    ]


def test_rollups_count_minutes_hours_and_failures(line: Line) -> None:
    failed = [made(kind="delivery", type="failed", time=NOW) for _ in range(2)]
    append(line, [made(time=NOW - 60_000_000), made(time=NOW), *failed], now=NOW)

    rows = Rollup.objects.filter(timeline=line.timeline, lane=0).order_by("span", "bucket")

    assert [(r.span, r.count, r.failed, r.first) for r in rows] == [
        (60, 1, 0, 1),
        (60, 3, 2, 2),
        (3600, 1, 0, 1) if (NOW // 60_000_000) % 60 == 0 else (3600, 4, 2, 1),
        *([(3600, 3, 2, 2)] if (NOW // 60_000_000) % 60 == 0 else []),
    ]


def test_what_was_rolled_back_is_not_remembered(line: Line) -> None:
    append(line, [made(id="1", stream="order-1")])
    lost = made(id="2", type="Lost", stream="order-1", correlation="c")
    with transaction.atomic():
        append(line, [lost])
        transaction.set_rollback(True)

    result = append(line, [made(id="3", stream="order-1"), lost])

    assert (result.positions, result.duplicates) == ([2, 3], 0)
    assert [(e.id, e.revision) for e in everything(line)] == [("1", 0), ("3", 1), ("2", 2)]


def test_an_unknown_timeline_is_refused() -> None:
    with pytest.raises(UnknownTimeline):
        append(10**9, [made()])


def test_a_fork_reads_its_parent_and_leaves_it_alone(line: Line) -> None:
    append(line, [made(id=str(n), stream="order-1") for n in range(5)])
    branch = fork(now_of(line), base=3, name="what if")

    append(branch, [made(id="new", stream="order-1", causation="1"), made(id="4")])
    append(line, [made(id="main")])

    assert [e.id for e in everything(branch)] == ["0", "1", "2", "new", "4"]
    assert [e.revision for e in everything(branch)] == [0, 1, 2, 3, None]
    assert everything(branch)[3].cause == 2
    assert [e.position for e in log.effects(now_of(branch), 2)] == [4]
    assert [e.id for e in everything(line)] == ["0", "1", "2", "3", "4", "main"]


@pytest.mark.django_db(transaction=True)
def test_the_signal_comes_after_the_commit() -> None:
    line = create_system(f"s-{uuid.uuid4().hex[:12]}")
    heads = []

    def listen(*, timeline: int, head: int, **_: object) -> None:
        heads.append((timeline, head))

    appended.connect(listen)
    try:
        with transaction.atomic():
            append(line, [made()])
            assert not heads
    finally:
        appended.disconnect(listen)
    assert heads == [(line.timeline, 1)]


IDS = st.sampled_from([str(n) for n in range(12)] + [str(uuid.UUID(int=n)) for n in range(4)])
ENVELOPES = st.builds(
    Envelope,
    type=st.sampled_from(["A", "B"]),
    id=IDS,
    source=st.sampled_from(["/a", "/b"]),
    kind=st.sampled_from(["event", "delivery"]),
    stream=st.sampled_from(["", "s-1", "s-2"]),
    time=st.none() | st.integers(NOW - 100, NOW + 100),
    correlation=st.sampled_from(["", "c-1", "c-2"]),
    causation=st.just("") | IDS,
    causation_source=st.sampled_from(["", "", "/a"]),
    data=st.sampled_from([b"1", b"2"]),
)


@pytest.mark.usefixtures("short_runs")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=st.lists(st.tuples(st.lists(ENVELOPES, max_size=14), st.booleans()), max_size=8))
def test_it_agrees_with_the_model(batches: list[tuple[list[Envelope], bool]]) -> None:
    """Whatever arrives in whatever batches, before and after restarts, the log is the list."""
    line = create_system(f"s-{uuid.uuid4().hex[:12]}")
    model = Model()
    for number, (batch, restart) in enumerate(batches):
        if restart:
            remember.forget_all()
        now = NOW + number
        assert append(line, batch, now=now).positions == model.append(batch, now)

    assert [
        (
            e.position, e.id, e.source, e.type, e.data, e.revision, e.log_time, e.recorded_at,
            e.correlation, e.cause, e.seen, e.conflicts_with,
        )
        for e in everything(line)
    ] == [
        (
            r.position, r.envelope.id, r.envelope.source, r.envelope.type, r.envelope.data,
            r.revision, r.log_time, r.recorded_at, r.correlation, r.cause, r.seen, r.conflicts_with,
        )
        for r in model.rows
    ]  # fmt: skip
    for name in {r.envelope.id for r in model.rows}:
        assert [e.position for e in log.by_id(now_of(line), name)] == [
            r.position for r in model.rows if r.envelope.id == name
        ]
