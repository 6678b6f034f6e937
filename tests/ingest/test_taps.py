"""Taps from their settings to the log."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings as django
from django.db import DatabaseError, connection

from apps.access.actor import CONSOLE
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest.commands import intake, leases, taps
from apps.ingest.commands.placing import Places
from apps.ingest.connector import BadSettings, Batch, Delivery, Gap, Progress, Record
from apps.ingest.models import Reject, Tap, Unplaced
from tests.ingest.tapping import follow, running, until, write

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-7f3a91"


@pytest.fixture
def line() -> Line:
    import uuid

    return create_system(f"s-{uuid.uuid4().hex[:12]}")


def events(line: Line) -> list[Recorded]:
    return log.read(log.line(line.slug), limit=1000)


def balanced(tap: Tap) -> bool:
    return tap.received == tap.stored + tap.duplicates + tap.rejected


def test_it_works(line: Line, tmp_path: Path) -> None:
    write(tmp_path, b'{"n":1}', b'{"n":2', b'{"n":3}')
    tap = follow(line, tmp_path)
    with running():
        until(tap, lambda t: t.received == 3, "three records")
        write(tmp_path, b'{"n":4}')
        until(tap, lambda t: t.received == 4, "a fourth")
    assert (tap.stored, tap.duplicates, tap.rejected) == (3, 0, 1)
    assert [e.value() for e in events(line)] == [{"n": 1}, {"n": 3}, {"n": 4}]
    assert {(e.tap, e.channel) for e in events(line)} == {("logs", str(tmp_path / "a.ndjson"))}
    (reject,) = Reject.objects.filter(tap=tap.pk)
    assert (bytes(reject.data), reject.code) == (b'{"n":2', "invalid_json")
    tap.refresh_from_db()
    assert (tap.owner, tap.lease_until) == ("", 0), "it was let go"


def test_started_again_it_goes_on_and_rewound_it_counts_duplicates(
    line: Line, tmp_path: Path
) -> None:
    write(tmp_path, b'{"n":1}', b'{"n":2}')
    tap = follow(line, tmp_path)
    with running():
        until(tap, lambda t: t.received == 2, "two records")
        taps.stop(tap, by=CONSOLE)
        write(tmp_path, b'{"n":3}')
        taps.start(tap, by=CONSOLE)
        until(tap, lambda t: t.received == 3, "the third")
        taps.rewind(line, tap, "beginning", by=CONSOLE)
        until(tap, lambda t: t.received == 6, "all of them again")
    assert (tap.stored, tap.duplicates, tap.rejected) == (3, 3, 0)
    assert len(events(line)) == 3


def test_what_is_wrong_is_said_and_other_taps_go_on(line: Line, tmp_path: Path) -> None:
    write(tmp_path, b"{}")
    (tmp_path / "locked").mkdir()
    bad = taps.add(line, "bad", "files", {"path": str(django.DATA_DIR)}, by=CONSOLE)
    (django.DATA_DIR / "private.ndjson").write_text("{}\n")
    good = follow(line, tmp_path)
    with running():
        until(good, lambda t: t.received == 1, "a record")
        until(bad, lambda t: t.state == "failing", "trouble")
    assert "must not be read" in bad.said
    assert bad.received == 0


def test_two_processes_share_taps(line: Line, tmp_path: Path) -> None:
    tap = follow(line, tmp_path)
    (mine,) = (t for t in leases.take("a", []) if t.pk == tap.pk)
    assert not [t for t in leases.take("b", []) if t.pk == tap.pk]
    Tap.objects.filter(pk=tap.pk).update(lease_until=1)
    (theirs,) = (t for t in leases.take("b", []) if t.pk == tap.pk)
    assert not leases.renew(mine.pk, mine.fence)
    batch = Batch([Record(body=b"{}", channel="c", offset="1")], cursor={"c": "1"})
    form = taps.form(tap.system, tap.name, {})
    with pytest.raises(intake.LeaseLost):
        intake.store(mine, batch, intake.decode(batch, form), form, None)
    assert not events(line), "who lost the lease stores nothing"
    intake.store(theirs, batch, intake.decode(batch, form), form, None)
    assert len(events(line)) == 1


def stored(tap: Tap, **parts: object) -> Counter[str]:
    form = taps.form(tap.system, tap.name, {})
    batch = Batch(**parts)  # type: ignore[arg-type]
    places = Places(tap.pk, tap.name)
    return intake.store(tap, batch, intake.decode(batch, form), form, places)


def record(offset: int, partition: str = "0") -> Record:
    return Record(body=b'{"n":%d}' % offset, channel="t", partition=partition, offset=str(offset))


def told(offset: int, subscriber: str = "payments", **fields: object) -> Delivery:
    given = {"outcome": "handled", "evidence": "acked", "channel": "t", "partition": "0"}
    return Delivery(subscriber=subscriber, offset=str(offset), **(given | fields))  # type: ignore[arg-type]


def test_deliveries_find_their_events_by_offset(line: Line, tmp_path: Path) -> None:
    tap = follow(line, tmp_path)
    stored(tap, records=[record(9), record(10), record(9, "1")])
    stored(tap, deliveries=[told(10), told(9, outcome="failed", error="no"), told(12)])
    assert Unplaced.objects.filter(tap=tap.pk).count() == 1
    stored(tap, records=[record(11), record(12)])
    found = [(e.cause, e.source, e.type) for e in events(line) if e.kind == "delivery"]
    assert found == [(2, "payments", "handled"), (1, "payments", "failed"),
                     (7, "payments", "handled")]  # fmt: skip
    assert not Unplaced.objects.filter(tap=tap.pk).exists()
    tap.refresh_from_db()
    assert (tap.received, tap.deliveries) == (5, 3)


def test_gaps_and_progress_are_events_no_reducer_sees(line: Line, tmp_path: Path) -> None:
    tap = follow(line, tmp_path)
    stored(
        tap,
        gaps=[Gap(channel="t", cause="retention", after="4", upto="9", count=5, at=1)],
        progress=[Progress(subscriber="g", channel="t", offset="7", lag=2, at=2)],
    )
    found = {e.type: e for e in events(line)}
    assert {e.kind for e in found.values()} == {"progress"}
    assert found["gap"].value() == {"cause": "retention", "after": "4", "upto": "9", "count": 5}
    assert found["progress"].value() == {"next": "7", "lag": 2}


def test_a_failed_commit_moves_nothing(line: Line, tmp_path: Path) -> None:
    tap = follow(line, tmp_path)

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "_move", fail)
        with pytest.raises(DatabaseError):
            stored(tap, records=[record(1)], cursor={"t": "1"})
    tap.refresh_from_db()
    assert (tap.cursor, tap.received) == ("{}", 0)
    assert not events(line)
    stored(tap, records=[record(1)], cursor={"t": "1"})
    assert len(events(line)) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": "red"}, "colour"),
        ({"map.colour": "data.x"}, "an event has"),
        ({"map.type": "data.."}, "map.type"),
        ({"redact": "burn data.x"}, "mask or hash"),
        ({"redact": "mask ~/(/"}, "redact"),
        ({"codec": "morse"}, "codec"),
        ({"codec": "avro"}, "registry or a schema"),
        ({"start": "yesterday"}, "start"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    line: Line, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(BadSettings, match=said):
        follow(line, tmp_path, **settings)
    assert not Tap.objects.filter(system=line.system).exists()


def test_settings_are_sealed(line: Line, tmp_path: Path) -> None:
    tap = follow(line, tmp_path, **{"registry": f"http://u:{CANARY}@host"})
    assert CANARY.encode() not in bytes(tap.sealed)
    assert taps.settings_of(tap)["registry"] == f"http://u:{CANARY}@host"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(django, "SECRET_KEY", "another" * 10)
        with pytest.raises(BadSettings, match="another secret key"):
            taps.settings_of(tap)


def test_what_is_to_be_redacted_reaches_no_table_and_no_log(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    word = CANARY.encode()
    import base64

    write(
        tmp_path,
        b'{"secret":"%s","deep":[{"password":"%s"}],"ok":1}' % (word, word),
        b'{"note":"see %s there","%s":1}' % (word, word),
        b'{"secret":"%s' % word,
        b'{"note":"\\u0063anary-7f3a91"}',
        b'{"hidden":"%s"}' % base64.b64encode(b"it is " + word),
        b"\xff %s" % word,
        b'{"specversion":"1.0","id":"%s","source":"/s","type":"T","data":{"secret":"%s"}}'
        % (word, word),
    )
    rules = "mask data.secret; mask **.password; hash ~/canary-[0-9a-f]+/"
    tap = follow(line, tmp_path, redact=rules)
    with running():
        until(tap, lambda t: t.received == 7, "seven records")
    assert balanced(tap)
    assert tap.stored == 5
    assert CANARY not in caplog.text
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                for value in row:
                    raw = bytes(value) if isinstance(value, bytes | memoryview) else str(value)
                    text = raw if isinstance(raw, str) else raw.decode("latin-1")
                    assert CANARY not in text, (table, text[:200])
    found = [e.value() for e in events(line)]
    assert found[0] == {"secret": "***", "deep": [{"password": "***"}], "ok": 1}
    assert found[1]["note"].startswith("see h:")
