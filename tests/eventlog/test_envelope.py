from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import (
    Undecodable,
    is_json,
    isoformat,
    jsonable,
    microseconds,
    moment,
    parse,
)
from tests.factories import recorded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", None),
        (b'{"a":18446744073709551617}', {"a": 18446744073709551617}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\u0000"', "\0"),
        (b"-0.0", 0.0),
    ],
)
def test_json_is_parsed_exactly(text: bytes, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [b"{", b"NaN", b"1e400", b"\xff", b'"\\ud800"', b"1 2", b"[" * 100_000, b"\xef\xbb\xbf{}"],
)
def test_what_is_no_json_says_so(text: bytes) -> None:
    with pytest.raises(Undecodable):
        parse(text)


def test_other_content_is_not_guessed_at() -> None:
    with pytest.raises(Undecodable, match="text/plain"):
        parse(b"{}", "text/plain")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.shop.order+json", True),
        ("text/json", True),
        ("application/jsonl", False),
        ("", False),
    ],
)
def test_which_content_is_json(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_times_survive(at: datetime) -> None:
    us = microseconds(at)
    assert moment(us) == at
    assert microseconds(datetime.fromisoformat(isoformat(us))) == us


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_234, "1970-01-01T00:00:00.001234Z"),
        (microseconds(datetime(33, 2, 1, tzinfo=UTC)), "0033-02-01T00:00:00.000Z"),
    ],
)
def test_times_are_written_short(us: int, text: str) -> None:
    assert isoformat(us) == text


def test_the_producers_own_digits_reach_the_api() -> None:
    event = recorded(1, data=b'{"price": 129.00, "n": 123456789012345678901234567890}')
    assert b'"price": 129.00, "n": 123456789012345678901234567890' in msgspec.json.encode(
        jsonable(event)
    )


@pytest.mark.parametrize("data", [b"\xff\x00", b"{"])
def test_what_cannot_be_shown_is_base64(data: bytes) -> None:
    assert jsonable(recorded(1, data=data))["data_base64"] == base64.b64encode(data).decode()


def test_a_tombstone_says_so() -> None:
    event = recorded(1, data=None)
    assert event.forgotten
    assert jsonable(event)["forgotten"] is True
    assert "data" not in jsonable(event)


@pytest.mark.parametrize(
    ("kind", "type_", "failed"),
    [("delivery", "failed", True), ("delivery", "handled", False), ("event", "failed", False)],
)
def test_only_deliveries_fail(kind: str, type_: str, failed: bool) -> None:
    assert recorded(1, kind=kind, type=type_).failed is failed
