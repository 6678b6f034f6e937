from __future__ import annotations

import io
import uuid
from collections.abc import Iterator

import pytest
from django.core.management import call_command

from apps.eventlog import seen, store
from apps.eventlog.commands import remember
from apps.eventlog.commands.append import append
from apps.eventlog.commands.forget import forget
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line, place
from apps.eventlog.queries import log
from apps.eventlog.queries.verify import verify

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(seen, "RUN_BITS", 3)
    monkeypatch.setattr(seen, "RUN", 8)
    line = create_system(f"s-{uuid.uuid4().hex[:12]}")
    append(
        line,
        [
            Envelope(type="T", id=str(n), stream=f"s-{n % 3}", time=n, data=b"%d" % n, key="k")
            for n in range(20)
        ],
    )
    yield log.line(line.slug)
    remember.forget_all()


def codes(line: Line) -> set[str]:
    return {damage.code for damage in verify(log.line(line.slug))}


def test_a_sound_log_has_no_damage(line: Line) -> None:
    assert codes(line) == set()


@pytest.mark.parametrize(
    ("code", "sql"),
    [
        ("gap", "DELETE FROM eventlog_event WHERE place = %s"),
        ("checksum", "UPDATE eventlog_event SET data = NULL WHERE place = %s"),
        ("log_time", "UPDATE eventlog_event SET log_time = 0 WHERE place = %s"),
        ("lane", "UPDATE eventlog_event SET lane_id = 0 WHERE place = %s"),
        ("stream", "UPDATE eventlog_event SET stream_id = 0 WHERE place = %s"),
        ("revision", "UPDATE eventlog_event SET revision = 9 WHERE place = %s"),
        ("rollup", "UPDATE eventlog_rollup SET count = 1 WHERE timeline = %s >> 40"),
        ("head", "UPDATE eventlog_timeline SET head = 21 WHERE id = %s >> 40"),
        ("beyond", "UPDATE eventlog_timeline SET head = 19 WHERE id = %s >> 40"),
        ("seen", "DELETE FROM eventlog_seenchunk WHERE chunk >> 32 = %s >> 40"),
    ],
)
def test_it_notices(line: Line, code: str, sql: str) -> None:
    store.execute(sql, [place(line.timeline, 13)])
    assert code in codes(line)


def test_every_flipped_bit_of_an_event_is_noticed(line: Line) -> None:
    for bit in range(16):
        data = bytearray(b"12")
        data[bit // 8] ^= 1 << bit % 8
        store.execute(
            "UPDATE eventlog_event SET data = %s WHERE place = %s",
            [bytes(data), place(line.timeline, 13)],
        )
        assert codes(line) == {"checksum"}, bit


def test_the_command_exits_1_with_findings(line: Line) -> None:
    out = io.StringIO()
    call_command("verify", line.slug, stdout=out, stderr=io.StringIO())
    assert out.getvalue() == ""

    store.execute(
        "UPDATE eventlog_event SET checksum = 0 WHERE place = %s", [place(line.timeline, 13)]
    )
    with pytest.raises(SystemExit) as stopped:
        call_command("verify", line.slug, stdout=out, stderr=io.StringIO())
    assert stopped.value.code == 1
    assert "#13" in out.getvalue()


def test_forgetting_leaves_tombstones(line: Line) -> None:
    assert forget(line, before=6) == 5
    assert forget(line, before=6) == 0

    events = log.read(line)
    assert [e.forgotten for e in events] == [True] * 5 + [False] * 15
    assert (events[4].position, events[4].key, events[4].stream) == (5, "", "s-1")
    assert log.line(line.slug).forgotten == 5
    assert codes(line) == set()


def test_what_is_forgotten_does_not_come_back(line: Line) -> None:
    forget(line, before=6)
    again = append(line, [Envelope(type="T", id="2", stream="s-2", data=b"2")])
    assert (again.positions, again.duplicates) == ([3], 1)


def test_a_forgotten_stream_loses_its_name(line: Line) -> None:
    assert forget(line, stream="s-1") == 7

    assert {e.stream for e in log.read(line)} == {"", "s-0", "s-2"}
    assert codes(line) == set()
    assert append(line, [Envelope(type="T", id="new", stream="s-1")]).head == 21
    assert log.read(log.line(line.slug), after=20)[0].revision == 0
    with pytest.raises(EventLogError, match="has no stream 'nope'"):
        forget(line, stream="nope")


def test_the_forget_command(line: Line) -> None:
    out = io.StringIO()
    call_command("forget", line.slug, before="6", stdout=out)
    call_command("forget", line.slug, stream="s-0", json=True, stdout=out)
    assert out.getvalue() == '5 events forgotten.\n{"forgotten": 5}\n'


def test_a_log_that_grows_meanwhile_is_not_damaged(line: Line) -> None:
    append(line, [Envelope(type="Later", id="later")])
    assert list(verify(line)) == []
