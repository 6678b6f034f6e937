from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog import seen

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(NAMES | st.uuids().map(str) | st.uuids().map(lambda u: str(u).upper()))
def test_an_id_is_unpacked_as_it_was(name: str) -> None:
    assert seen.unpack_id(seen.pack_id(name)) == name


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (str(uuid.UUID(int=1)), 17),
        (str(uuid.UUID(int=10**38)).upper(), 36),
        ("00000000-0000-0000-0000-00000000000g", 36),
        ("00000000-0000-0000-0000-00 0000000 0", 36),
        ("0000000--0000-0000-0000-000000000000", 36),
    ],
)
def test_only_a_canonical_uuid_is_packed(name: str, size: int) -> None:
    assert len(seen.pack_id(name)) == size


def digests(*names: object) -> seen.Digests:
    return np.array([seen.id_digest(str(name).encode()) for name in names], dtype=np.uint64)


def test_a_filter_never_misses_and_seldom_errs() -> None:
    filters = seen.Filters()
    for run in range(130):  # more runs than fit into two words
        filters.add(run * 3, seen.filter_bits(digests(*range(run * 500, run * 500 + 500))))

    held = list(range(0, 65_000, 7))
    found = set(filters.candidates(digests(*held)))
    assert {(index, name // 500 * 3) for index, name in enumerate(held)} <= found
    strangers = list(filters.candidates(digests(*range(10**6, 10**6 + 1000))))
    assert len(strangers) < 100


def test_a_filter_is_stored_as_bits() -> None:
    bits = seen.filter_bits(digests(*range(100)))
    stored = seen.packed_bits(bits)
    assert len(stored) == seen.SLOTS // 8
    assert (seen.unpacked_bits(stored) == bits).all()


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=80))
def test_chunks_hold_every_entry(entries: list[tuple[int, int]]) -> None:
    made = dict(seen.chunks([d for d, _ in entries], [i for _, i in entries], range(len(entries))))
    for digest, identity in entries:
        same = [n for n, (d, _) in enumerate(entries) if d == digest]
        checked = [n for n in same if (entries[n][1] ^ identity) & 0xFFFFFFFF == 0]
        assert seen.find(made[digest >> 56], digest) == same
        assert seen.find(made[digest >> 56], digest, check=identity) == checked


UUID = "9f2c1d3e-0a4b-4c5d-8e6f-a0b1c2d3e4f5"


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [UUID],
        [UUID, "00000000-0000-0000-0000-000000000000", UUID],
        [UUID, "order-1"],
        [UUID.upper(), UUID],
        ["x" * 32, UUID],
        [UUID, "9f2c1d3e-0a4b-4c5d-8e6f-a0b1c2d3-e4f"],
        [UUID, "9f2c1d3e-0a4b-4c5d-8e6f-a0b1c2d3e4fé"],
        [UUID, "9f2c1d3e-0a4b-4c5d-8e6f-a0b1c2d3e4 5", ""],
        ["9f2c1d3e-0a4b-4c5d-8e6f-a0b1c2d3e 4f5"[:36], UUID],
    ],
)
def test_ids_packed_together_are_packed_alike(ids: list[str]) -> None:
    assert seen.pack_ids(ids) == [seen.pack_id(i) for i in ids]
