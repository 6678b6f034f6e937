from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import isoformat, microseconds
from apps.ingest import timestamps
from apps.ingest.timestamps import BadTime, Timestamp, from_epoch, parse, usual

NOON = 1_778_587_200_000_000


def test_it_works() -> None:
    assert parse("2026-05-12T12:00:00Z") == Timestamp(NOON)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_the_log_writes_is_read_back_without_a_flag(moment: datetime) -> None:
    us = microseconds(moment)
    assert parse(isoformat(us)) == Timestamp(us)


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).filter(bool),
)
def test_an_offset_is_the_same_instant(moment: datetime, minutes: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse(there.isoformat()) == Timestamp(microseconds(there), ("offset",))


SHAPES = ["2026-05-12T14:32:07.418Z", "2026-05-12T14:32:07Z", "2026-05-12T14:32:07.1Z"]


@given(
    st.sampled_from(SHAPES),
    st.lists(st.tuples(st.integers(0, 23), st.sampled_from("0123456789-:TZ.+ ,Wa٣")), max_size=3),
)
def test_the_quick_way_never_takes_what_the_careful_one_would_not(
    text: str, changes: list[tuple[int, str]]
) -> None:
    letters = list(text)
    for at, letter in changes:
        letters[at % len(letters)] = letter
    changed = "".join(letters)

    us = usual(changed)

    if us is not None:
        found = timestamps.RFC3339.fullmatch(changed)
        assert found
        day = datetime.fromisoformat(f"{found['day']}T00:00:00+00:00")
        clock = timedelta(
            hours=int(found["hour"]), minutes=int(found["minute"]), seconds=int(found["second"])
        )
        fraction = int((found["fraction"] or "").ljust(6, "0"))
        assert us == microseconds(day + clock) + fraction
        assert int(found["hour"]) < 24


def test_it_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamps, "_REMEMBERED", 10)
    for second in range(60):
        usual(f"2025-01-01T00:00:{second:02}.{second:03}Z")

    assert len(timestamps._seconds) <= 12
    assert len(timestamps._fractions) <= 12


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-05-12T12:00:00.Z",
        "２０２６-05-12T12:00:00Z",
        "2026-05-12T12:00:00Z ",
        "-" * 99,
    ],
)
def test_what_is_no_time_is_quoted_with_what_is_expected(text: str) -> None:
    with pytest.raises(BadTime, match=re.escape("expected RFC 3339")):
        parse(text)


@pytest.mark.parametrize(
    ("count", "us", "flag"),
    [
        (1_778_587_200, NOON, "epoch_s"),
        (1_778_587_200_418, NOON + 418_000, "epoch_ms"),
        (1_778_587_200_000_001, NOON + 1, "epoch_us"),
        (1_778_587_200_000_001_999, NOON + 1, "epoch_ns"),
        (-1, -1_000_000, "epoch_s"),
    ],
)
def test_a_count_has_the_unit_of_its_size(count: int, us: int, flag: str) -> None:
    assert from_epoch(count) == Timestamp(us, (flag,))


@pytest.mark.parametrize("count", [10**30, -(10**30), 10**20])
def test_a_count_beyond_all_units_is_no_time(count: int) -> None:
    with pytest.raises(BadTime):
        from_epoch(count)
