"""Share groups, record by record, from what their coordinator writes down; nothing is asked of it.

A lane of the cursor is `share:PARTITION` of the coordinator's topic, its place the offset to tell
next. What came before it is read again after a start and told no more: it says what is open.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, Message, TopicPartition

from apps.ingest.connector import Cursor, Delivery, Progress, Refused
from apps.ingest.connectors import kafka_share_state as written
from apps.ingest.connectors.kafka_client import Talk

LOOK_S = 10  # whether there is such a topic by now
BUFFER_KB = 4096
TOGETHER = 500  # of the coordinator's records, read at once
LIMIT = 2000  # deliveries in one batch, and those of one more record
LANE = "share:"
HANDLED = {written.ACKNOWLEDGED: "handled", written.ARCHIVED: "dead_lettered"}
WORDS = {
    written.AVAILABLE: "Given back, or not settled in time.",
    written.ARCHIVED: "Rejected, or given up after the last attempt.",
}


class Known(NamedTuple):
    """What was told of one group and partition: what is open, by offset, and where that begins."""

    start: int
    open: dict[int, tuple[int, int]]  # offset to state and attempts


class Shares:
    """Follows the coordinator's topic."""

    def __init__(
        self, talk: Talk, wanted: re.Pattern[str], cursor: Cursor, *, from_now: bool
    ) -> None:
        self._talk, self._wanted, self._from_now = talk, wanted, from_now
        self._told = {
            int(lane.removeprefix(LANE)): int(place)
            for lane, place in cursor.items() if lane.startswith(LANE)
        }  # fmt: skip
        self._consumer: Consumer | None = None
        self._waiting: deque[Message] = deque()
        self._known: dict[tuple[str, str, int], Known] = {}
        self._looked = float("-inf")
        self._asked = ""
        self._foreign: set[str] = set()
        self.wants_topics = False  # a topic is not known yet: look for new ones, then go on

    def cursor(self) -> dict[str, str]:
        """Return up to where was told, as lanes."""
        return {f"{LANE}{partition}": str(at) for partition, at in self._told.items()}

    def look(
        self, topics: Mapping[str, tuple[str, int]], epoch: Callable[[str], str]
    ) -> tuple[list[Delivery], list[Progress]]:
        """Return what is new of groups.

        topics  those that are read, by name, with their ids
        """
        if self._consumer is None and time.monotonic() - self._looked >= LOOK_S:
            self._open()
        names = {identity: name for name, (identity, _) in topics.items()}
        deliveries: list[Delivery] = []
        progress: list[Progress] = []
        self.wants_topics = False
        while len(deliveries) < LIMIT and (message := self._next()) is not None:
            key = written.key(message.key())
            if key is not None and self._is_new(key.topic, names):
                self._waiting.appendleft(message)
                self.wants_topics = True
                break
            self._take(message, key, names, epoch, deliveries, progress)
        return deliveries, progress

    def _is_new(self, topic: str, names: Mapping[str, str]) -> bool:
        """Return whether a topic may be one of ours that was made since topics were looked at."""
        if topic in names or topic in self._foreign:
            return False
        if topic == self._asked:
            self._foreign.add(topic)
            return False
        self._asked = topic
        return True

    def _open(self) -> None:
        """Begin to read, where there is such a topic and we may."""
        self._looked = time.monotonic()
        admin = self._talk.admin()
        partitions = self._talk.partitions(admin, written.TOPIC)
        if not partitions:
            return
        try:
            ends = self._talk.ends(admin, [(written.TOPIC, p) for p in partitions])
        except Refused:  # it is the broker's own, and may be hidden from us
            return
        self._known.clear()
        for (_, partition), (low, high) in ends.items():
            self._told.setdefault(partition, high if self._from_now else low)
        self._from_now = False  # for partitions that come later
        self._consumer = self._talk.consumer(BUFFER_KB)
        self._consumer.assign([TopicPartition(*place, low) for place, (low, _) in ends.items()])

    def _next(self) -> Message | None:
        if not self._waiting and self._consumer is not None:
            self._waiting.extend(self._consumer.consume(TOGETHER, timeout=0))
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        if message.error() is None:
            return message
        self.close()  # it was pruned under us, or is gone: it is opened again
        return None

    def _take(
        self,
        message: Message,
        key: written.Key | None,
        names: Mapping[str, str],
        epoch: Callable[[str], str],
        deliveries: list[Delivery],
        progress: list[Progress],
    ) -> None:
        """Merge what a record says into what is known, and add what it tells."""
        is_new = message.offset() >= self._told.get(message.partition(), 0)
        if is_new:
            self._told[message.partition()] = message.offset() + 1
        if key is None or key.topic not in names or not self._wanted.fullmatch(key.group):
            return
        which = (key.group, key.topic, key.partition)
        body = message.value()
        state = written.state(key.kind, body) if body else None
        if state is None:
            if not body:  # the group is gone
                self._known.pop(which, None)
            return
        before = self._known.get(which) or Known(-1, {})
        changed = list(_changed(before, state))
        self._known[which] = _merged(before, state)
        if not is_new:
            return
        name, at = names[key.topic], message.timestamp()[1] * 1000
        deliveries += [
            Delivery(
                subscriber=key.group, outcome=HANDLED.get(now, "failed"), evidence="acked",
                channel=name, partition=str(key.partition), offset=str(offset),
                epoch=epoch(name), attempt=attempts, earliest=at, latest=at,
                error=WORDS.get(now, ""), facts={"share_group": True},
            )
            for offset, now, attempts in changed
        ]  # fmt: skip
        if state.start > before.start and state.start >= 0:
            progress.append(Progress(
                subscriber=key.group, channel=name, partition=str(key.partition),
                epoch=epoch(name), offset=str(state.start), at=at, facts={"share_group": True},
            ))  # fmt: skip

    def close(self) -> None:
        """Read no more, until the next look."""
        consumer, self._consumer = self._consumer, None
        self._waiting.clear()
        self._looked = time.monotonic()
        if consumer is not None:
            consumer.close()


def _changed(before: Known, state: written.State) -> Iterator[tuple[int, int, int]]:
    """Yield (offset, state, attempts) of what ended an attempt and was not known."""
    for first, last, now, attempts in state.ranges:
        if now == written.ACQUIRED or attempts < 1:
            continue
        for offset in range(max(first, before.start), min(last, first + written.RANGES) + 1):
            if before.open.get(offset) != (now, attempts):
                yield offset, now, attempts


def _merged(before: Known, state: written.State) -> Known:
    start = max(state.start, before.start)
    found = {offset: at for offset, at in before.open.items() if offset >= start}
    for first, last, now, attempts in state.ranges:
        last = min(last, first + written.RANGES)
        found.update((offset, (now, attempts)) for offset in range(max(first, start), last + 1))
    return Known(start, found)
