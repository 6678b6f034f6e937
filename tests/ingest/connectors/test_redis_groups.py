"""What two looks at a consumer group say of its deliveries, on a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from apps.ingest import buses
from apps.ingest.connector import (
    Connector,
    Cursor,
    Delivery,
    Progress,
    Surroundings,
)
from apps.ingest.connectors import redis_watch
from tests import brokers
from tests.services import wait_for


class Group:
    """A consumer group of a test's stream that keeps its own books."""

    def __init__(self, client: Any, key: str, name: str = "billing") -> None:
        self.client, self.key, self.name = client, key, name
        client.xgroup_create(key, name, id="0", mkstream=True)

    def take(self, count: int, consumer: str = "c1") -> list[str]:
        found = self.client.xreadgroup(self.name, consumer, {self.key: ">"}, count=count)
        return [entry.decode() for _, entries in found for entry, _ in entries]

    def claim(self, entry: str, consumer: str) -> None:
        self.client.xclaim(self.key, self.name, consumer, 0, [entry])

    def ack(self, *entries: str) -> None:
        self.client.xack(self.key, self.name, *entries)


class TestGroups:
    """What a group did, entry by entry, seen from outside."""

    @pytest.fixture(autouse=True)
    def _stream(
        self, redis_broker: brokers.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        monkeypatch.setattr(redis_watch, "LOOK_S", 0.01)
        self.url = redis_broker.url
        self.client: Any = redis.Redis(port=redis_broker.port)
        self.key = f"g-{uuid.uuid4().hex}"
        self.group = Group(self.client, self.key)
        self.connector = self.opened({})
        self.told()
        yield
        self.connector.close()
        self.client.delete(self.key)
        self.client.close()

    def opened(self, cursor: Cursor) -> Connector:
        around = Surroundings(name="groups", reach=lambda host, port: [host])
        found = buses.connector("redis", {"url": self.url, "streams": self.key}, around)
        found.open(cursor)
        self.cursor: Cursor = cursor
        return found

    def add(self, count: int = 1) -> list[str]:
        with self.client.pipeline() as pipeline:
            for n in range(count):
                pipeline.xadd(self.key, {"data": b"%d" % n})
            return [entry.decode() for entry in pipeline.execute()]

    def told(self, count: int = 0) -> list[Delivery]:
        """Return what is told from now on, once it is `count` deliveries and no more come."""
        found: list[Delivery] = []

        def quiet() -> bool:
            batch = self.connector.read(limit=1000, wait=0.1)
            found.extend(batch.deliveries)
            self.cursor = batch.cursor or self.cursor
            return not batch.deliveries and not batch.records and len(found) >= count

        wait_for(quiet, f"{count} deliveries")
        assert len(found) == count, found
        return found

    def test_it_works(self) -> None:
        one, two, three = self.add(3)
        assert self.told() == []
        self.group.take(2)
        self.group.ack(one)
        told = self.told(2)
        assert seen(told) == {(one, "handled", 1), (two, "received", 1)}
        assert {d.subscriber for d in told} == {"billing"}
        self.group.ack(two)
        self.group.take(1)
        assert seen(self.told(2)) == {(two, "handled", 1), (three, "received", 1)}

    def test_the_times_lie_between_two_looks(self) -> None:
        (entry,) = self.add()
        self.told()
        before = clock(self.client)
        self.group.take(1)
        between = clock(self.client)
        (received,) = self.told(1)
        assert received.earliest is not None
        assert received.earliest == received.latest
        assert before - 2000 <= received.earliest <= between  # Redis counts in ms
        self.group.ack(entry)
        after = clock(self.client)
        (handled,) = self.told(1)
        assert handled.earliest is not None
        assert handled.latest is not None
        assert handled.earliest <= after <= handled.latest

    def test_an_entry_given_again_failed_before(self) -> None:
        (entry,) = self.add()
        self.group.take(1, "c1")
        self.told(1)
        self.group.claim(entry, "c2")
        failed, received = self.told(2)
        assert (failed.outcome, failed.attempt) == ("failed", 1)
        assert (received.outcome, received.attempt) == ("received", 2)
        assert received.facts == {"consumer": "c2"}
        self.group.ack(entry)
        assert seen(self.told(1)) == {(entry, "handled", 2)}

    def test_attempts_between_two_looks_are_all_told(self) -> None:
        (entry,) = self.add()
        self.told()
        self.group.take(1)
        self.group.claim(entry, "c2")
        self.group.claim(entry, "c3")
        assert [(d.outcome, d.attempt) for d in self.told(3)] == [
            ("failed", 1), ("failed", 2), ("received", 3),
        ]  # fmt: skip

    def test_what_a_deleted_consumer_held_is_not_said_to_be_handled(self) -> None:
        self.add(2)
        self.group.take(1, "c1")
        self.group.take(1, "c2")
        self.told(2)
        self.client.xgroup_delconsumer(self.key, "billing", "c1")
        assert self.told() == []

    def test_nothing_is_told_twice_or_lost_after_a_crash(self) -> None:
        one, _, three = self.add(3)
        self.group.take(2)
        self.told(2)
        self.connector.close()
        self.group.ack(one)
        self.group.take(1)
        self.group.ack(three)
        self.connector = self.opened(self.cursor)
        assert seen(self.told(2)) == {(one, "handled", 1), (three, "handled", 1)}

    def test_a_group_that_was_there_before_is_followed_from_now_on(self) -> None:
        entries = self.add(4)
        old = Group(self.client, self.key, "old")
        old.take(2)
        old.ack(entries[0])
        self.connector.close()
        self.connector = self.opened({})
        assert seen(self.told(1)) == {(entries[1], "received", 1)}
        old.ack(*old.take(2))
        assert seen(self.told(2)) == {(e, "handled", 1) for e in entries[2:]}

    def test_a_group_that_begins_at_the_end_got_nothing_before(self) -> None:
        self.add(3)
        self.told()
        self.client.xgroup_create(self.key, "late", id="$")
        (new,) = self.add(1)
        self.told()
        late = self.client.xreadgroup("late", "c1", {self.key: ">"})
        assert len(late[0][1]) == 1
        assert seen(self.told(1)) == {(new, "received", 1)}

    def test_entries_a_group_was_set_past_are_skipped(self) -> None:
        one, *rest = self.add(4)
        self.group.take(1)
        self.group.ack(one)
        self.told(1)
        self.client.xgroup_setid(self.key, "billing", rest[1])
        assert seen(self.told(2)) == {(e, "skipped", 1) for e in rest[:2]}

    def test_a_group_set_back_gets_entries_again(self) -> None:
        entries = self.add(2)
        self.group.ack(*self.group.take(2))
        self.told(2)
        self.client.xgroup_setid(self.key, "billing", "0")
        self.told()
        self.group.ack(*self.group.take(2))
        assert seen(self.told(2)) == {(e, "handled", 1) for e in entries}

    def test_a_deleted_group_is_let_go(self) -> None:
        self.add(1)
        self.group.take(1)
        self.told(1)
        self.client.xgroup_destroy(self.key, "billing")
        assert self.told() == []
        self.add(1)
        self.told()
        assert list(self.cursor) == [self.key]

    def test_a_group_with_more_than_fits_a_batch_is_told_in_order(self) -> None:
        entries = self.add(2500)
        self.group.ack(*self.group.take(2500))
        told = self.told(2500)
        assert [d.offset for d in told] == entries
        assert {d.outcome for d in told} == {"handled"}

    def test_it_tells_how_far_groups_are(self) -> None:
        entries = self.add(3)
        self.group.take(1)
        self.connector.close()
        self.connector = self.opened({})
        found: list[Progress] = []

        def came() -> bool:
            found.extend(self.connector.read(limit=10, wait=0.1).progress)
            return bool(found)

        wait_for(came, "progress")
        (progress,) = found
        assert (progress.subscriber, progress.offset, progress.lag) == ("billing", entries[0], 2)


def seen(deliveries: list[Delivery]) -> set[tuple[str, str, int]]:
    return {(d.offset, d.outcome, d.attempt) for d in deliveries}


def clock(client: Any) -> int:
    seconds, us = client.time()
    return int(seconds * 1_000_000 + us)
