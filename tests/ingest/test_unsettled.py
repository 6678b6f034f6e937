"""Exactly once from a queue that numbers nothing."""

from __future__ import annotations

import random

from apps.ingest.connector import Record
from apps.ingest.unsettled import Unsettled


def record(body: bytes) -> Record:
    return Record(body=body, channel="q")


def test_it_works() -> None:
    cursor = Unsettled({}).cursor([record(b"a"), record(b"a"), record(b"b")])
    known = Unsettled(cursor)
    given_back = [b"a", b"a", b"b", b"a"]
    assert [known.again(record(b), redelivered=True) for b in given_back] == [
        True, True, True, False,
    ]  # fmt: skip


def test_with_the_first_new_record_nothing_old_is_awaited() -> None:
    known = Unsettled(Unsettled({}).cursor([record(b"a")]))
    assert not known.again(record(b"b"), redelivered=False)
    assert not known.again(record(b"a"), redelivered=True)


def test_what_is_not_given_back_yet_stays_known_through_another_commit() -> None:
    known = Unsettled(Unsettled({}).cursor([record(b"a"), record(b"b")]))
    assert known.again(record(b"a"), redelivered=True)
    later = Unsettled(known.cursor([record(b"a")]))
    assert later.again(record(b"b"), redelivered=True)
    assert later.again(record(b"a"), redelivered=True)


def test_any_queue_killed_at_any_moment_is_stored_once() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        queue = [(record(b"%d" % n), False) for n in range(30)]
        stored: list[Record] = []
        cursor: dict[str, str] = {}
        while queue:
            known = Unsettled(cursor)
            while queue:
                batch = queue[: rng.randrange(1, 6)]
                new = [r for r, back in batch if not known.again(r, redelivered=back)]
                if rng.random() < 0.2:  # before the commit
                    queue = [(r, True) for r, _ in batch] + queue[len(batch) :]
                    break
                stored += new
                cursor = known.cursor([r for r, _ in batch])
                if rng.random() < 0.2:  # after it, before the acknowledgement
                    queue = [(r, True) for r, _ in batch] + queue[len(batch) :]
                    break
                queue = queue[len(batch) :]
        assert [r.body for r in stored] == [b"%d" % n for n in range(30)], seed
