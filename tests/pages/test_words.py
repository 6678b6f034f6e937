from __future__ import annotations

import pytest

from apps.eventlog.envelope import microseconds
from apps.pages import words

N = words.NBSP


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, f"1{N}000"),
        (1308517, f"1{N}308{N}517"),
        (-1, "−1"),
        (-1234, f"−1{N}234"),
    ],
)  # fmt: skip
def test_it_groups_numbers(number: int, text: str) -> None:
    assert words.grouped(number) == text


def test_it_writes_positions() -> None:
    assert words.place(1284031) == f"#1{N}284{N}031"


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 ms"), (412, "412 µs"), (3_000, "3 ms"), (418_400, "418 ms"), (999_499, "999 ms"),
        (999_600, "1.00 s"), (4_720_000, "4.72 s"), (12_340_000, "12.3 s"), (59_940_000, "59.9 s"),
        (59_960_000, "60.0 s"), (60_000_000, "1 min 0 s"), (582_000_000, "9 min 42 s"),
        (20_820_000_000, "5 h 47 min"),
        (187_200_000_000, "2 d 4 h"), (-3_000, "−3 ms"),
    ],
)  # fmt: skip
def test_it_writes_durations(us: int, text: str) -> None:
    assert words.duration(us).replace(N, " ") == text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (6_000_000, "6 s"),
        (120_000_000, "2 min"),
        (43_200_000_000, "12 h"),
        (86_400_000_000, "1 d"),
        (5_000, "5 ms"),
    ],
)  # fmt: skip
def test_it_writes_steps_without_zeros(us: int, text: str) -> None:
    assert words.step(us) == text.replace(" ", N)


@pytest.mark.parametrize(
    ("count", "seconds", "text"),
    [
        (43, 10, "4.3/s"),
        (12, 100, "0.12/s"),
        (3, 60, "3/min"),
        (40, 10, "4.0/s"),
        (999, 100, "10/s"),
        (553, 10, "55/s"),
        (0, 10, "0/s"),
        (5, 0, ""),
    ],
)  # fmt: skip
def test_it_writes_rates(count: int, seconds: int, text: str) -> None:
    assert words.rate(count, seconds * words.SECOND) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 byte"), (214, "214 bytes"), (12_697, "12.4 KB"), (10_276_045, "9.8 MB")],
)
def test_it_writes_sizes(count: int, text: str) -> None:
    assert words.size(count) == text.replace(" ", N)


def test_it_writes_times() -> None:
    from datetime import UTC, datetime

    at = microseconds(datetime(2026, 5, 12, 14, 32, 7, 418_999, tzinfo=UTC))
    assert words.clock(at) == "14:32:07.418"  # never rounded up into the next millisecond
    assert words.day(at) == f"12{N}May{N}2026"


def test_it_writes_shares_factors_and_plurals() -> None:
    assert words.percent(989, 1000) == f"98.9{N}%"
    assert words.percent(1, 0) == ""
    assert words.factor(3.14) == "3.1×"
    assert words.plural(1, "event") == f"1{N}event"
    assert words.plural(2134, "delivery", "deliveries") == f"2{N}134{N}deliveries"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("payments", "payments"), ("Zürich 東京 🎉 a b", "Zürich 東京 🎉 a b"),
        ("a\u202eb", "a\\u202eb"), ("\u200b", "\\u200b"), ("a\nb", "a\\u000ab"),
        ("\x1b[31m", "\\u001b[31m"), ("\u2066x\u2069", "\\u2066x\\u2069"), ("\ufeff", "\\ufeff"),
        ("\U000e0001", "\\U000e0001"), ("<script>", "<script>"),
    ],
)  # fmt: skip
def test_it_writes_out_what_cannot_be_seen(text: str, seen: str) -> None:
    assert words.visible(text) == seen
