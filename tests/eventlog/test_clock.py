from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.eventlog.clock import DAY, settled, window
from apps.eventlog.envelope import microseconds
from apps.eventlog.query import parse

NOON = microseconds(datetime(2026, 5, 12, 12, tzinfo=UTC))
MINUTE, SECOND = 60_000_000, 1_000_000


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text + "+00:00"))


def edges(text: str, as_of: int = NOON) -> tuple[int | None, int | None]:
    term = parse(text).terms[0]
    found = settled(window(term.operator, term.values[0]), as_of)
    return (found.low.at if found.low else None, found.high.at if found.high else None)


def test_it_works() -> None:
    assert edges("at:10:30..11:00") == (at("2026-05-12T10:30:00"), at("2026-05-12T11:00:00"))


@pytest.mark.parametrize(
    ("text", "start", "width"),
    [
        ("at:10:30", "2026-05-12T10:30:00", MINUTE),
        ("at:9:05", "2026-05-12T09:05:00", MINUTE),
        ("at:10:30:07", "2026-05-12T10:30:07", SECOND),
        ("at:10:30:07.4", "2026-05-12T10:30:07.4", 100_000),
        ("at:10:30:07.418", "2026-05-12T10:30:07.418", 1000),
        ("at:10:30:07.418532", "2026-05-12T10:30:07.418532", 1),
        ("at:10:30:07.418532999", "2026-05-12T10:30:07.418532", 1),
        ("at:2026-05-11", "2026-05-11T00:00:00", DAY),
        ("at:2026-05-11T10:30", "2026-05-11T10:30:00", MINUTE),
        ('at:"2026-05-11 10:30:07"', "2026-05-11T10:30:07", SECOND),
        ("at:2026-05-11T10:30:07+02:00", "2026-05-11T08:30:07", SECOND),
        ("at:2026-05-11t10:30z", "2026-05-11T10:30:00", MINUTE),
        ("at:10:30-01:30", "2026-05-12T12:00:00", MINUTE),
        ("at:01:00+02:00", "2026-05-11T23:00:00", MINUTE),
        ("at:0001-01-01", "0001-01-01T00:00:00", DAY),
        ("at:9999-12-31", "9999-12-31T00:00:00", DAY),
    ],
)
def test_a_moment_is_as_wide_as_it_was_written(text: str, start: str, width: int) -> None:
    assert edges(text) == (at(start), at(start) + width - 1)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("at>10:30", "2026-05-12T10:30:00.000001", None),
        ("at>=10:30", "2026-05-12T10:30:00", None),
        ("at<10:30", None, "2026-05-12T10:29:59.999999"),
        ("at<=10:30", None, "2026-05-12T10:30:00"),
        ("at<=10:30:07.418", None, "2026-05-12T10:30:07.418999"),
        ("at>10:30:07.418", "2026-05-12T10:30:07.419", None),
        ("at>2026-05-10", "2026-05-11T00:00:00", None),
        ("at:2026-05-10..2026-05-11", "2026-05-10T00:00:00", "2026-05-11T23:59:59.999999"),
        ("at:10:30..", "2026-05-12T10:30:00", None),
        ("at:..10:30", None, "2026-05-12T10:30:00"),
    ],
)
def test_a_bound_is_an_instant_but_a_date_or_fraction_counts_to_its_end(
    text: str, low: str | None, high: str | None
) -> None:
    assert edges(text) == (low and at(low), high and at(high))


def test_a_time_of_day_is_the_last_one_up_to_the_moment() -> None:
    assert edges("at:12:01")[0] == at("2026-05-11T12:01:00")
    assert edges("at:12:00")[0] == at("2026-05-12T12:00:00")


def test_a_range_may_pass_midnight() -> None:
    assert edges("at:23:50..00:05") == (at("2026-05-11T23:50:00"), at("2026-05-12T00:05:00"))
    assert edges("at:11:50..12:05") == (at("2026-05-12T11:50:00"), at("2026-05-12T12:05:00"))


def test_positions_and_times_mix() -> None:
    assert edges("at:#5..10:30") == (5, at("2026-05-12T10:30:00"))
    term = parse("at:5..10:30").terms[0]
    found = settled(window(":", term.values[0]), NOON)
    assert found.holds(5, at("2026-05-12T10:30:00"))
    assert not found.holds(4, 0)
    assert not found.holds(6, at("2026-05-12T10:31:00"))
