"""What every connector keeps, on the real bus: subclass, say how the bus is used, and be tested.

`remembers`  the bus keeps what was read, so any cursor can be read from again (logs, streams);
             else what was settled is gone and the rest is given back (queues)
`settles`    the bus waits for `settle`
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pytest

from apps.ingest import buses
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Connector,
    Cursor,
    Record,
    Refused,
    Surroundings,
    Unreachable,
)

PATIENCE_S = 90
ODD = [b"", b"\x00\xff\xfe", b'{"a":1}', "ä🙂".encode(), b"x" * 100_000]


class ConnectorContract(ABC):
    bus: ClassVar[str]
    remembers: ClassVar[bool] = True
    settles: ClassVar[bool] = False
    stays: ClassVar[bool] = False  # something of ours is on the bus for as long as there is a tap
    begins: ClassVar[bool] = True  # its first batch says where the tap stands
    carries: ClassVar[list[bytes]] = ODD  # bodies this bus can carry

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Return settings for a channel of this test's own; the same on every call in a test."""

    @abstractmethod
    def publish(self, bodies: list[bytes]) -> None:
        """Put `bodies` on the channel, in order and in one lane, and wait until they are there."""

    def standing(self) -> Any:
        """Return what the bus knows of its clients: groups, queues, offsets, bindings.

        It must be the same before a tap's life and after it, but for what expires by itself.
        """
        return None

    def everything(self) -> Any:
        """Return what `stays`, and whatever else of ours the bus has; no figures that change."""
        raise NotImplementedError

    def leave(self) -> None:
        connector: Any = self.make()
        connector.leave()

    def crash(self, connector: Connector) -> None:
        """Have a connector end as if killed: its connection is gone, and nothing was said."""
        connector.close()

    def unreachable(self) -> dict[str, str]:
        """Return settings of a bus where nobody listens, {} where there is no such thing."""
        return {}

    # What follows is the contract; subclasses leave it alone.

    def around(self, **changes: Any) -> Surroundings:
        given: dict[str, Any] = {"name": "contract", "reach": lambda host, port: [host]}
        return Surroundings(**(given | changes))

    def make(self, **changes: str) -> Connector:
        return buses.connector(self.bus, self.settings() | changes, self.around())

    @contextmanager
    def opened(self, cursor: Cursor | None = None, **changes: str) -> Iterator[Connector]:
        connector = self.make(**changes)
        try:
            connector.open(cursor or {})
            yield connector
        finally:
            connector.close()

    def attend(self) -> None:
        """Have a queue of ours there before anything is published, where one is needed for it."""
        if not self.remembers:
            with self.opened() as connector:
                connector.read(limit=1, wait=0.2)

    def batches(self, connector: Connector, count: int, *, limit: int = 100) -> list[Batch]:
        """Read and settle until `count` records came."""
        found: list[Batch] = []
        until = time.monotonic() + PATIENCE_S
        while sum(len(b.records) for b in found) < count:
            assert time.monotonic() < until, f"only {sum(len(b.records) for b in found)} came"
            batch = connector.read(limit=limit, wait=0.5)
            assert len(batch.records) <= limit
            if batch:
                found.append(batch)
                connector.settle(batch)
        return found

    def bodies(self, connector: Connector, count: int) -> list[bytes | None]:
        return [r.body for b in self.batches(connector, count) for r in b.records]

    def numbered(self, count: int) -> list[bytes]:
        return [b'{"n":%d}' % n for n in range(count)]

    def test_it_works(self) -> None:
        self.attend()
        self.publish(self.numbered(3))
        with self.opened() as connector:
            assert self.bodies(connector, 3) == self.numbered(3)
            assert not connector.read(limit=10, wait=0.2).records

    def test_what_comes_later_is_read_too(self) -> None:
        self.attend()
        with self.opened() as connector:
            self.publish([b"1"])
            assert self.bodies(connector, 1) == [b"1"]
            self.publish([b"2", b"3"])
            assert self.bodies(connector, 2) == [b"2", b"3"]

    def test_bytes_come_as_they_were_sent(self) -> None:
        self.attend()
        self.publish(self.carries)
        with self.opened() as connector:
            assert self.bodies(connector, len(self.carries)) == self.carries

    def test_it_resumes_after_any_batch(self) -> None:
        self.attend()
        self.publish(self.numbered(7))
        got: list[Record] = []
        cursor: Cursor = {}
        for _ in range(7):
            with self.opened(cursor) as connector:
                (batch,) = self.batches(connector, 1, limit=1)
                got += batch.records
                cursor = batch.cursor if batch.cursor is not None else cursor
        assert [r.body for r in got] == self.numbered(7)
        if self.remembers:
            places = [(r.channel, r.partition, r.offset, r.epoch) for r in got]
            assert len(set(places)) == 7

    def test_what_was_not_settled_comes_again(self) -> None:
        self.attend()
        self.publish(self.numbered(5))
        with self.opened() as connector:
            (first,) = self.unsettled(connector, 2)
        with self.opened() as connector:
            again = [r for b in self.batches(connector, 5) for r in b.records]
        assert [r.body for r in again] == self.numbered(5)
        assert not any(r.again for r in again)
        if self.remembers:
            assert list(again[:2]) == list(first.records)

    def test_what_was_stored_but_not_settled_is_known(self) -> None:
        """Killed between the commit and the acknowledgement."""
        self.attend()
        self.publish([b"same", b"same", b"other", b"same"])
        with self.opened() as connector:
            (stored,) = self.unsettled(connector, 2)
        assert stored.cursor is not None
        with self.opened(stored.cursor) as connector:
            rest: list[Record] = []
            until = time.monotonic() + PATIENCE_S
            while sum(not r.again for r in rest) < 2:
                assert time.monotonic() < until
                batch = connector.read(limit=100, wait=0.5)
                rest += batch.records
                connector.settle(batch)
            assert [r.body for r in rest if not r.again] == [b"other", b"same"]
            assert not connector.read(limit=10, wait=0.2).records

    def unsettled(self, connector: Connector, limit: int) -> list[Batch]:
        until = time.monotonic() + PATIENCE_S
        while not (batch := connector.read(limit=limit, wait=0.5)).records:
            assert time.monotonic() < until, "nothing came"
        assert len(batch.records) == limit
        return [batch]

    def test_where_it_began_is_known_before_anything_came(self) -> None:
        """Killed before the first record, what came meanwhile is not before "now"."""
        known = {s.name for s in buses.connector_class(self.bus).settings}
        now: Any = {"start": "now"} if "start" in known and self.remembers else {}
        self.publish([b"before"])
        cursor: Cursor | None = None
        with self.opened(**now) as connector:
            until = time.monotonic() + PATIENCE_S
            while cursor is None and self.begins:
                assert time.monotonic() < until, "no cursor"
                cursor = connector.read(limit=10, wait=0.2).cursor
        if now and self.begins:
            self.publish([b"after"])
            with self.opened(cursor, **now) as connector:
                assert self.bodies(connector, 1) == [b"after"]

    def test_an_empty_bus_is_not_an_error(self) -> None:
        with self.opened() as connector:
            assert not connector.read(limit=10, wait=0.2).records
            connector.lag()

    def test_it_closes_twice_and_unopened(self) -> None:
        self.make().close()
        with self.opened() as connector:
            connector.close()

    def test_it_leaves_the_bus_as_it_was(self) -> None:
        self.publish([b"1"])
        before = self.standing()
        with self.opened() as connector:
            connector.read(limit=10, wait=0.5)
            connector.lag()
        self.wait_for(lambda: self.standing() == before, f"{before} again, not {self.standing()}")

    def test_a_tap_that_is_removed_leaves_nothing(self) -> None:
        """Killed while it read, and never opened again."""
        if not self.stays:
            return
        self.publish([b"1"])
        self.leave()
        before = self.everything()
        connector = self.make()
        connector.open({})
        self.publish([b"2"])
        connector.settle(connector.read(limit=1, wait=5))
        self.crash(connector)
        self.wait_for(lambda: self.everything() != before, "something to take away")
        self.leave()
        self.leave()
        self.wait_for(
            lambda: self.everything() == before, f"{before} again, not {self.everything()}"
        )

    def test_checking_changes_nothing(self) -> None:
        self.publish([b"1", b"2"])
        before = self.standing()
        checked = self.make().check()
        assert checked.ok, checked.lines
        assert checked.lines
        assert self.standing() == before

    def wait_for(self, done: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < until, f"waited for {what}"
            time.sleep(0.05)

    def test_an_absent_bus_is_said_to_be(self) -> None:
        if not (nowhere := self.unreachable()):
            return
        checked = buses.connector(self.bus, nowhere, self.around()).check()
        assert not checked.ok
        connector = buses.connector(self.bus, nowhere, self.around())
        with pytest.raises((Unreachable, Refused)):
            _begin(connector)
        connector.close()

    def test_it_goes_only_where_it_may(self) -> None:
        def forbidden(host: str, port: int) -> list[str]:
            asked.append((host, port))
            raise Refused(f"{host} is not allowed")

        if not self.unreachable():
            return
        asked: list[tuple[str, int]] = []
        around = self.around(reach=forbidden)
        connector = buses.connector(self.bus, self.settings(), around)
        with pytest.raises(Refused, match="not allowed"):
            _begin(connector)
        with suppress(Refused):
            connector.close()
        assert asked
        assert not buses.connector(self.bus, self.settings(), around).check().ok

    def test_it_knows_its_settings(self) -> None:
        with pytest.raises(BadSettings, match="colour"):
            self.make(colour="red")
        needed = [s.name for s in buses.connector_class(self.bus).settings if s.required]
        for name in needed:
            with pytest.raises(BadSettings, match=name):
                self.make(**{name: ""})

    def test_it_says_what_it_can_promise_and_where_it_listens(self) -> None:
        connector = self.make()
        assert len(connector.guarantee().words) > 20
        assert connector.place()


def _begin(connector: Connector) -> None:
    connector.open({})
    connector.read(limit=1, wait=5)
