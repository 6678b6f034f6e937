from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog import seen
from apps.eventlog.commands import remember
from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import BadSystem, create_system, fork
from apps.eventlog.envelope import Recorded, isoformat
from apps.eventlog.errors import EventLogError, QueryError, UnknownSystem, UnknownTimeline
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from tests.conftest import Log
from tests.factories import NOON, envelope

pytestmark = pytest.mark.django_db


def positions(events: list[Recorded]) -> list[int]:
    return [event.position for event in events]


@pytest.fixture
def ten(log: Log) -> Line:
    """Ten events, a second apart."""
    log.append(*(envelope(id=str(n), time=NOON + n * 1_000_000) for n in range(1, 11)))
    return log.line


@pytest.fixture
def branch(ten: Line) -> Line:
    """A fork after the sixth, with three events of its own; the original goes on as well."""
    made = fork(ten, base=6, name="what if")
    append(made, [envelope(id=f"f{n}", time=NOON + (7 + n) * 1_000_000) for n in range(3)])
    append(ten, [envelope(id="11")])
    return log.line(ten.slug, timeline=made.timeline)


def test_it_works(ten: Line) -> None:
    assert positions(log.read(ten)) == list(range(1, 11))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"after": 3, "upto": 6}, [4, 5, 6]),
        ({"after": 3, "limit": 2}, [4, 5]),
        ({"descending": True, "limit": 3}, [10, 9, 8]),
        ({"descending": True, "upto": 5, "after": 3}, [5, 4]),
        ({"after": 10}, []),
        ({"upto": 99, "after": 8}, [9, 10]),
        ({"upto": 0}, []),
    ],
)
def test_it_keeps_to_its_bounds(ten: Line, bounds: dict[str, int], expected: list[int]) -> None:
    assert positions(log.read(ten, **bounds)) == expected  # type: ignore[arg-type]


def test_a_read_is_capped(ten: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LIMIT", 4)
    assert len(log.read(ten, limit=10**6)) == 4


def test_a_fork_is_read_through_its_parent(branch: Line) -> None:
    assert (branch.head, branch.base, branch.name) == (9, 6, "what if")
    assert [e.id for e in log.read(branch, after=4)] == ["5", "6", "f0", "f1", "f2"]
    assert [e.id for e in log.read(branch, limit=4, descending=True)] == ["f2", "f1", "f0", "6"]
    assert [e.id for e in log.events_at(branch, [2, 8, 99])] == ["2", "f1"]


def test_a_fork_of_a_fork_sees_both(branch: Line) -> None:
    again = fork(branch, base=7)
    append(again, [envelope(id="g", causation="f0"), envelope(id="h", causation="3")])
    again = log.line(branch.slug, timeline=again.timeline)

    assert [e.id for e in log.read(again, after=5)] == ["6", "f0", "g", "h"]
    assert [e.cause for e in log.read(again, after=7)] == [7, 3]
    assert [e.id for e in log.by_id(again, "3")] == ["3"]
    assert log.by_id(again, "f1") == []


def test_a_fork_can_start_from_nothing(ten: Line) -> None:
    empty = fork(ten, base=0)
    assert (log.read(empty), empty.segments) == ([], ())
    append(empty, [envelope(id="1")])
    assert [e.position for e in log.read(log.line(ten.slug, timeline=empty.timeline))] == [1]


def test_a_fork_beyond_the_head_is_refused(ten: Line) -> None:
    with pytest.raises(EventLogError, match="between 0 and the head #10, not 11"):
        fork(ten, base=11)


def test_one_event(ten: Line) -> None:
    assert log.event(ten, 3) == log.read(ten, after=2, limit=1)[0]
    assert log.event(ten, 11) is None
    assert log.event(ten, 0) is None


def test_effects_come_in_order_and_as_of(log_: Log) -> None:
    first = log_.add(id="root")
    log_.append(envelope(causation="root"), envelope(), envelope(causation="root", kind="delivery"))
    assert positions(log.effects(log_.line, first)) == [2, 4]
    assert positions(log.effects(log_.line, first, upto=3)) == [2]
    assert positions(log.effects(log_.line, first, limit=1)) == [2]


@pytest.fixture
def log_(line: Line) -> Log:
    return Log(line)


def test_time_to_position_and_back(ten: Line, branch: Line) -> None:
    assert log.position_at(ten, NOON) == 0
    assert log.position_at(ten, NOON + 1_000_000) == 1
    assert log.position_at(ten, NOON + 4_500_000) == 4
    assert log.position_at(ten, NOON + 10**9) == 10
    assert log.time_at(ten, 4) == NOON + 4_000_000
    assert (log.time_at(ten, 0), log.time_at(ten, 11)) == (None, None)
    assert log.position_at(branch, NOON + 6_500_000) == 6
    assert log.position_at(branch, NOON + 8_500_000) == 8


@given(st.data())
def test_a_position_is_the_last_one_up_to_a_time(data: st.DataObject) -> None:
    line = create_system(f"s-{uuid.uuid4().hex[:12]}")
    times = data.draw(st.lists(st.integers(0, 20), max_size=30))
    append(line, [envelope(time=NOON + t) for t in times])
    line = log.line(line.slug)
    log_times = [e.log_time for e in log.read(line)]
    for t in range(-1, 22):
        assert log.position_at(line, NOON + t) == sum(at <= NOON + t for at in log_times)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 10),
        ("4", 4),
        ("#4", 4),
        (" 999 ", 10),
        (isoformat(NOON + 4_000_000), 4),
        ("2026-05-12T14:00:04+02:00", 4),
        ("2026-05-12T14:00:04 02:00", 4),
        ("2020-01-01T00:00:00Z", 0),
    ],
)
def test_moments(ten: Line, text: str, expected: int) -> None:
    assert log.moment(ten, text) == expected


@pytest.mark.parametrize(
    "text", ["x", "-1", "1.5", "2026-05-12T14:00:04", "2026-02-30T00:00:00Z", "٣", "9" * 40, "#"]
)
def test_what_is_no_moment(ten: Line, text: str) -> None:
    with pytest.raises(QueryError, match="neither a position like 1284031 nor a time"):
        log.moment(ten, text)


def test_an_id_is_found_in_full_runs_and_after_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "RUN_BITS", 2)
    monkeypatch.setattr(seen, "RUN", 4)
    append(line, [envelope(id=str(n % 7), source=f"/{n}") for n in range(18)])
    now = log.line(line.slug)

    assert positions(log.by_id(now, "3")) == [4, 11, 18]
    assert positions(log.by_id(now, "3", source="/10")) == [11]
    assert log.by_id(now, "7") == []
    remember.forget_all()


def test_lines_and_their_names(line: Line) -> None:
    assert line.slug in [each.slug for each in log.lines()]
    with pytest.raises(UnknownSystem, match="'nope'"):
        log.line("nope")
    with pytest.raises(UnknownTimeline):
        log.line(line.slug, timeline=line.timeline + 1000)
    other = create_system(f"o-{uuid.uuid4().hex[:12]}")
    with pytest.raises(UnknownTimeline):
        log.line(line.slug, timeline=other.timeline)


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "a/b", "ä", "a" * 64, "a\n"])
def test_a_system_needs_a_plain_name(slug: str) -> None:
    with pytest.raises(BadSystem, match="cannot be a system's name"):
        create_system(slug)


def test_a_system_exists_once(line: Line) -> None:
    with pytest.raises(BadSystem, match="already"):
        create_system(line.slug)
