"""What Kafka's share coordinator writes, as a broker wrote it."""

from __future__ import annotations

import pytest

from apps.ingest.connectors.kafka_share_state import (
    ACKNOWLEDGED,
    ARCHIVED,
    AVAILABLE,
    Key,
    Range,
    State,
    key,
    state,
)

TOPIC = b"\xf5\xbc3%\xff\x9aI[\x93\x85_\n`g8\x9f"
SNAPSHOT = (
    b"\0\0\0\0\0\0\0\0\0\1\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
    b"\0\0\1\xa2!\xa5\x97\xb8\0\0\1\xa2!\xa5\x97\xb8\1\0"
)
UPDATE = (
    b"\0\0\0\0\0\0\0\0\0\0" + (7).to_bytes(8) + b"\4"
    + (7).to_bytes(8) + (9).to_bytes(8) + b"\2\0\1\0"
    + (10).to_bytes(8) + (10).to_bytes(8) + b"\4\0\3\0"
    + (11).to_bytes(8) + (11).to_bytes(8) + b"\0\0\1\1\0\4\0\0\0\1"  # with a field of later days
    + b"\1\0\4\0\0\0\x09"
)  # fmt: skip


def test_a_key_says_whose_state_it_is() -> None:
    data = b"\0\1\0\2sg" + TOPIC + b"\0\0\0\3"
    assert key(data) == Key(1, "sg", "9bwzJf+aSVuThV8KYGc4nw", 3)


def test_a_snapshot_before_anything_was_given_out() -> None:
    assert state(0, SNAPSHOT) == State(-1, ())


def test_an_update_says_what_became_of_records() -> None:
    assert state(1, UPDATE) == State(7, (
        Range(7, 9, ACKNOWLEDGED, 1), Range(10, 10, ARCHIVED, 3), Range(11, 11, AVAILABLE, 1),
    ))  # fmt: skip


@pytest.mark.parametrize("data", [None, b"", b"\0\7\0\2sg" + TOPIC + b"\0\0\0\3", b"\0\1\0\xffsg"])
def test_other_keys_say_nothing(data: bytes | None) -> None:
    assert key(data) is None


@pytest.mark.parametrize("size", range(len(UPDATE) - 8))
def test_what_is_cut_short_says_nothing(size: int) -> None:
    assert state(1, UPDATE[:size]) is None


@pytest.mark.parametrize("data", [b"\0\1" + UPDATE[2:], UPDATE[:18] + b"\xff" * 5 + UPDATE[19:]])
def test_what_is_of_another_version_or_lies_says_nothing(data: bytes) -> None:
    assert state(1, data) is None
