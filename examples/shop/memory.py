"""A bus in memory on a simulated clock: groups, lanes, commits, retries, dead letters.

It loses nothing and repeats what was not committed, as brokers do. A commit follows the handling;
when the coordinator does not answer it (a `LostCommit`), the member is put out of its group after
`COMMIT_TIMEOUT`, the partition moves, and its next owner starts from the last committed offset.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from evdebug.sdk import Event
from examples.shop.bus import CHANNEL_OF, CHANNELS, Channel, Received, Verdict, lane
from examples.shop.schedule import Schedule

ATTEMPTS = 3
BACKOFF = (1_000, 2_000)  # ms before the second and the third attempt
COMMIT_TIMEOUT = 2_596
REBALANCE = 32
TRANSIT = (6, 18)  # ms from publisher to subscriber
DEAD_KEPT = 1_000


@dataclass(slots=True)
class LostCommit:
    """The coordinator will not answer one commit: the first that fits, from `at` on."""

    group: str
    at: int
    key: str = ""  # "" fits any event
    channel: str = "orders"


class Rebalances(Protocol):
    """Is told when a member of a group goes and when its partition has a new owner."""

    def left(self, received: Received, member: str) -> None: ...

    def joined(self, received: Received, member: str) -> None: ...


@dataclass(slots=True, eq=False)
class Group:
    """Consumers sharing the work of one service."""

    name: str
    workers: int  # 0 for any number
    handlers: dict[str, Callable[[Received], None]] = field(default_factory=dict)
    busy: int = 0
    waiting: deque[Lane] = field(default_factory=deque)
    paused_until: int = 0


@dataclass(slots=True, eq=False)
class Lane:
    """One partition of one channel as one group reads it: strictly one after the other."""

    group: Group
    channel: Channel
    partition: int
    records: deque[tuple[int, Received]] = field(default_factory=deque)  # ready at, what
    held: bool = False  # something is being handled, committed or waits for its next attempt
    queued: bool = False  # stands in the group's line for a worker
    armed: bool = False  # a wake-up is planned
    member: int = 1


class MemoryBus:
    def __init__(self, schedule: Schedule, random: Random, *, offsets: int = 0) -> None:
        """offsets  where each partition's numbering begins."""
        self.schedule = schedule
        self.random = random
        self.lost_commits: list[LostCommit] = []
        self.rebalances: Rebalances | None = None
        self.dead: dict[str, deque[Event]] = defaultdict(lambda: deque(maxlen=DEAD_KEPT))
        self._groups: dict[str, Group] = {}
        self._by_type: dict[str, list[Group]] = defaultdict(list)
        self._lanes: dict[tuple[str, str, int], Lane] = {}
        self._offsets: dict[tuple[str, int], int] = defaultdict(lambda: offsets)
        self._held: dict[Received, Lane] = {}

    # -- the interface -----------------------------------------------------------------------

    def publish(self, event: Event) -> None:
        channel = CHANNELS[CHANNEL_OF[event.type]]
        event.key = event.key or event.stream
        partition = lane(event.key, channel.partitions)
        self._locate(event, channel, partition)
        for group in self._by_type[event.type]:
            ready = self.schedule.now + self.random.randint(*TRANSIT)
            self._add(group, channel, partition, Received(event, group.name, 1), ready)

    def subscribe(
        self, group: str, type: str, handle: Callable[[Received], None], *, workers: int = 0
    ) -> None:
        member = self._groups.setdefault(group, Group(group, workers))
        if type not in member.handlers:
            self._by_type[type].append(member)
        member.handlers[type] = handle

    def settle(self, received: Received, *, ok: bool) -> Verdict:
        at = self._held.pop(received)
        self._free(at.group)
        if ok:
            self._commit(at, received)
            return "done"
        if received.attempt < ATTEMPTS:
            self._retry(at, received)
            return "retry"
        self.dead[f"{at.channel.name}.{at.group.name}.dlq"].append(received.event)
        self._release(at)
        return "dead"

    # -- what an operator or a fault does ----------------------------------------------------

    def pause(self, group: str, ms: int) -> None:
        """Let a group take nothing for a while, as during a rolling restart."""
        self._groups[group].paused_until = self.schedule.now + ms

    def lag(self, group: str) -> int:
        """Return how many events wait for a group."""
        return sum(len(at.records) for at in self._lanes.values() if at.group.name == group)

    # -- lanes -------------------------------------------------------------------------------

    def _locate(self, event: Event, channel: Channel, partition: int) -> None:
        event.channel = channel.name
        if channel.coordinates == "partition":
            self._offsets[channel.name, partition] += 1
            event.partition = str(partition)
            event.offset = str(self._offsets[channel.name, partition])
        elif channel.coordinates == "sequence":
            self._offsets[channel.name, 0] += 1
            event.offset = str(self._offsets[channel.name, 0])
        elif channel.coordinates == "entry":
            self._offsets[channel.name, 0] += 1
            event.offset = f"{self.schedule.now}-{self._offsets[channel.name, 0] % 10}"

    def _add(
        self, group: Group, channel: Channel, partition: int, received: Received, ready: int
    ) -> None:
        place = (group.name, channel.name, partition)
        at = self._lanes.get(place)
        if at is None:
            at = self._lanes[place] = Lane(group, channel, partition)
        at.records.append((ready, received))
        if not at.held and not at.armed:
            self._pump(at)

    def _wake(self, at: Lane) -> None:
        at.armed = False
        self._pump(at)

    def _pump(self, at: Lane) -> None:
        """Hand the next event of a lane over if it, its group and a worker are ready."""
        if at.held or at.queued or at.armed or not at.records:
            return
        group = at.group
        ready = max(at.records[0][0], group.paused_until)
        if ready > self.schedule.now:
            at.armed = True
            self.schedule.at(ready, self._wake, at)
        elif group.workers and group.busy >= group.workers:
            at.queued = True
            group.waiting.append(at)
        else:
            received = at.records.popleft()[1]
            at.held = True
            group.busy += 1
            self._held[received] = at
            group.handlers[received.event.type](received)

    def _free(self, group: Group) -> None:
        group.busy -= 1
        if group.waiting:
            at = group.waiting.popleft()
            at.queued = False
            # Not at once: the handler that just ended may still publish at this moment.
            self.schedule.at(self.schedule.now, self._pump, at)

    def _release(self, at: Lane) -> None:
        at.held = False
        if at.records:
            self._pump(at)

    # -- endings -----------------------------------------------------------------------------

    def _commit(self, at: Lane, received: Received) -> None:
        lost = self._lost(at, received)
        if lost is None:
            self._release(at)
        else:
            self.lost_commits.remove(lost)
            self.schedule.at(self.schedule.now + COMMIT_TIMEOUT, self._leave, at, received)

    def _lost(self, at: Lane, received: Received) -> LostCommit | None:
        for lost in self.lost_commits:
            if (
                lost.group == at.group.name
                and lost.channel == at.channel.name
                and lost.at <= self.schedule.now
                and lost.key in ("", received.event.key)
            ):
                return lost
        return None

    def _leave(self, at: Lane, received: Received) -> None:
        if self.rebalances:
            self.rebalances.left(received, f"{at.group.name}-{at.member}")
        self.schedule.at(self.schedule.now + REBALANCE, self._move, at, received)

    def _move(self, at: Lane, received: Received) -> None:
        at.member += 1
        if self.rebalances:
            self.rebalances.joined(received, f"{at.group.name}-{at.member}")
        self._again(at, received, held=True)

    def _retry(self, at: Lane, received: Received) -> None:
        due = self.schedule.now + BACKOFF[received.attempt - 1]
        self.schedule.at(due, self._again, at, received, at.channel.in_place)
        if not at.channel.in_place:
            self._release(at)

    def _again(self, at: Lane, received: Received, held: bool) -> None:
        again = Received(received.event, received.group, received.attempt + 1)
        at.records.appendleft((self.schedule.now, again))
        if held:
            at.held = False
        self._pump(at)
