"""The shop's bus over a real broker: `Broker` is what each kind of broker has to do for it.

The services run as they do in memory, on the wall clock. A group handles the events of a lane one
after the other; what it gives up goes to a dead-letter channel of its own.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from evdebug.sdk import Event
from examples.shop import wire
from examples.shop.bus import CHANNEL_OF, CHANNELS, Channel, Received, Verdict, lane
from examples.shop.memory import ATTEMPTS, BACKOFF, LostCommit, Rebalances
from examples.shop.schedule import Schedule

WAITING = 500  # events of a group in hand; more stay on the broker


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message for one group. `token` is what the broker wants back."""

    group: str
    lane: str
    body: bytes
    token: Any


class Broker(Protocol):
    """A kind of broker: sends to channels, and receives for groups with acknowledgements."""

    def send(self, channel: Channel, partition: int, key: str, body: bytes) -> None:
        """Send a message; it may be under way when this returns."""
        ...

    def listen(self, group: str, channels: Iterable[Channel]) -> None:
        """Have a group receive what is sent to channels from now on, or was not acknowledged."""
        ...

    def receive(self, group: str, limit: int) -> Iterable[Arrival]:
        """Return what is there for a group, without waiting."""
        ...

    def acknowledge(self, arrival: Arrival) -> None:
        """Note that an arrival is dealt with; those of a lane come in their order."""
        ...

    def bury(self, arrival: Arrival, why: str) -> None:
        """Send an arrival to the dead letters of its group."""
        ...

    def close(self) -> None:
        """Send what is under way and leave."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """What waits for a group in one lane, and what it has in hand."""

    records: deque[tuple[Arrival, Received]] = field(default_factory=deque)
    held: bool = False


class BrokerBus:
    """`Bus` over a broker."""

    def __init__(self, schedule: Schedule, broker: Broker) -> None:
        self.schedule, self.broker = schedule, broker
        # A real coordinator loses commits by itself; the planned ones are for the bus in memory.
        self.lost_commits: deque[LostCommit] = deque(maxlen=1)
        self.rebalances: Rebalances | None = None
        self._handlers: dict[str, dict[str, Callable[[Received], None]]] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._held: dict[Received, tuple[Lane, Arrival]] = {}
        self._waiting: dict[str, int] = {}
        self._listening = False

    def publish(self, event: Event) -> None:
        channel = CHANNELS[CHANNEL_OF[event.type]]
        event.key = event.key or event.stream
        partition = lane(event.key, channel.partitions)
        self.broker.send(channel, partition, event.key, wire.event_line(event).encode())

    def subscribe(
        self, group: str, type: str, handle: Callable[[Received], None], *, workers: int = 0
    ) -> None:
        self._handlers.setdefault(group, {})[type] = handle
        self._waiting.setdefault(group, 0)

    def pause(self, group: str, ms: int) -> None:
        """Deploys of the past are for the bus in memory."""

    def poll(self) -> int:
        """Take what has arrived and hand it over; return how much it was. Call it often."""
        if not self._listening:
            self._listening = True
            for group, handlers in self._handlers.items():
                names = dict.fromkeys(CHANNEL_OF[type] for type in handlers)
                self.broker.listen(group, [CHANNELS[name] for name in names])
        count = 0
        for group in self._handlers:
            for arrival in self.broker.receive(group, WAITING - self._waiting[group]):
                self._arrive(arrival)
                count += 1
        return count

    def _arrive(self, arrival: Arrival) -> None:
        event = _event(arrival.body)
        if event is None or event.type not in self._handlers[arrival.group]:
            event = event or Event("", "", "", "", {}, 0)
        at = self._lanes.setdefault((arrival.group, arrival.lane), Lane())
        at.records.append((arrival, Received(event, arrival.group, 1)))
        self._waiting[arrival.group] += 1
        self._pump(at)

    def _pump(self, at: Lane) -> None:
        while at.records and not at.held:
            arrival, received = at.records.popleft()
            handle = self._handlers[arrival.group].get(received.event.type)
            if handle is None:  # not for this group: passed all the same
                self._done(arrival)
                continue
            at.held = True
            self._held[received] = (at, arrival)
            handle(received)

    def _done(self, arrival: Arrival) -> None:
        self._waiting[arrival.group] -= 1
        self.broker.acknowledge(arrival)

    def settle(self, received: Received, *, ok: bool) -> Verdict:
        at, arrival = self._held.pop(received)
        if not ok and received.attempt < ATTEMPTS:
            due = self.schedule.now + BACKOFF[received.attempt - 1]
            self.schedule.at(due, self._again, at, arrival, received)
            return "retry"
        if not ok:
            self.broker.bury(arrival, "given up after 3 attempts")
        self._done(arrival)
        at.held = False
        self._pump(at)
        return "done" if ok else "dead"

    def _again(self, at: Lane, arrival: Arrival, received: Received) -> None:
        again = Received(received.event, received.group, received.attempt + 1)
        at.records.appendleft((arrival, again))
        at.held = False
        self._pump(at)


def _event(body: bytes) -> Event | None:
    """Return the event in a message of the shop's, None for any other message."""
    try:
        e = json.loads(body)
        at = datetime.fromisoformat(e["time"])
        return Event(
            e["id"], e["type"], e["source"], e.get("subject", ""), e["data"],
            round(at.timestamp() * 1000), e.get("evdebugkind", "event"),
            e.get("correlationid", ""), e.get("causationid", ""), e.get("evdebugchannel", ""),
            key=e.get("partitionkey", ""),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None
