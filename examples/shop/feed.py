"""From the shop to evdebug: the past as fast as it can be stored, then the present as it happens.

Events and deliveries go through two doors. Within a stretch of `STRETCH` simulated ms the events
go first and the deliveries after them, so what is stored strays from its time by that much; around
the planted story nothing does. Each request costs the server the same however little it holds:
where it is too slow to take the past within `BUDGET`, stretches are sent together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from threading import Condition, Event, Thread
from time import monotonic, time
from typing import TextIO

from examples.shop.broker import BrokerBus
from examples.shop.door import Door, Stopped
from examples.shop.progress import Progress
from examples.shop.shop import Entry, Shop

Batch = tuple[str, list[str]]  # door, lines

STRETCH = 2_000
STORY_BEFORE = 2_000  # ms around the planted order whose entries are sent in their exact order
STORY_AFTER = 12_000
BUDGET = 5.0  # seconds
GRACE = 1.0  # seconds behind that do not count: everything is slow at first
TOGETHER = 8  # stretches that go together at most
AHEAD = 32  # stretches made before they are sent
STEP = 250  # ms between two sendings of the live part
PAUSE = 20  # ms between two looks at a broker
CATCH_UP = 120_000  # more than this behind, the shop counts as having been closed
CATCH_UP_STEP = 2_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happened in a while, in order. `share` of the past has happened at its end."""

    entries: list[Entry]
    share: float
    exact: bool


def past(shop: Shop, edge: int) -> Iterator[Stretch]:
    """Let the shop run up to `edge` and yield what happened, bit by bit."""
    story, start = shop.plan.story, shop.now
    while shop.now < edge:
        upto = min(shop.now + STRETCH, edge)
        exact = bool(story) and story - STORY_BEFORE <= upto <= story + STORY_AFTER
        shop.run(upto)
        yield Stretch(shop.take(), (upto - start) / (edge - start), exact)


def batches(entries: list[Entry], *, exact: bool) -> Iterator[Batch]:
    """Group entries by door: events, then deliveries; or, `exact`, each run of one door."""
    if not exact:
        entries = sorted(entries, key=lambda entry: entry[0] == "deliveries")  # stable
    for door, group in groupby(entries, key=lambda entry: entry[0]):
        yield door, [line for _, line in group]


def send_past(shop: Shop, edge: int, door: Door, progress: Progress) -> int:
    """Send the past while it is made, and return how many entries it had."""
    sender = Sender(door, progress)
    sender.start()
    try:
        for stretch in past(shop, edge):
            sender.put(stretch)
    finally:
        sender.finish()
    progress.finish(sender.sent)
    return sender.sent


def write_past(shop: Shop, edge: int, events: TextIO, deliveries: TextIO) -> int:
    """Write the past to two files instead, one entry a line, and return how many it had."""
    files = {"events": events, "deliveries": deliveries}
    count = 0
    for stretch in past(shop, edge):
        for name, line in stretch.entries:
            files[name].write(f"{line}\n")
        count += len(stretch.entries)
    return count


def live(shop: Shop, door: Door, stop: Event) -> None:
    """Go on by the wall clock until `stop` is set. What is stored last is what happened last.

    While the door is closed nothing is made up: the shop waits with it, and catches up afterwards
    or, after a long time, goes on as if it had been closed.
    """
    while True:
        now = int(time() * 1000)
        if now - shop.now > CATCH_UP:
            shop.close(now - shop.now)
        shop.run(min(now, shop.now + CATCH_UP_STEP))
        try:
            for name, lines in batches(shop.take(), exact=False):
                door.send(name, lines)
        except Stopped:
            return
        if stop.wait(0 if shop.now < now else STEP / 1000):
            return


def live_on(shop: Shop, bus: BrokerBus, stop: Event) -> int:
    """Go on by the wall clock over a real broker until `stop`; return how many events there were.

    Nothing is reported to evdebug: it taps the broker.
    """
    count = 0
    while not stop.wait(0 if bus.poll() else PAUSE / 1000):
        now = int(time() * 1000)
        if now - shop.now > CATCH_UP:
            shop.close(now - shop.now)
        shop.run(min(now, shop.now + CATCH_UP_STEP))
        count += sum(door == "events" for door, _ in shop.take())
    return count


class Sender(Thread):
    """Sends stretches in order while the next are made."""

    def __init__(
        self, door: Door, progress: Progress, *, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self.door = door
        self.progress = progress
        self.sent = 0
        self.failure: Exception | None = None
        self._clock = clock
        self._began = clock()
        self._waiting: deque[Stretch] = deque()
        self._ended = False
        self._changed = Condition()

    def put(self, stretch: Stretch) -> None:
        """Take a stretch; wait while AHEAD are waiting. Raises what sending one raised."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < AHEAD or self.failure)
            if self.failure:
                raise self.failure
            self._waiting.append(stretch)
            self._changed.notify()

    def finish(self) -> None:
        """Wait until everything is sent. Raises what sending raised."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.join()
        if self.failure:
            raise self.failure

    def run(self) -> None:
        try:
            while stretch := self._next():
                for name, lines in batches(stretch.entries, exact=stretch.exact):
                    self.door.send(name, lines, stream=True)
                    self.sent += len(lines)
                self.progress.update(stretch.share, self.sent)
        except Exception as failure:  # told to whoever puts the next stretch
            with self._changed:
                self.failure = failure
                self._changed.notify()

    def _next(self) -> Stretch | None:
        """Wait for what to send next: one stretch in time, several when late; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            found = [self._waiting.popleft()]
            late = self._clock() - self._began > GRACE + BUDGET * found[0].share
            while late and len(found) < TOGETHER and self._fits(found[-1]):
                found.append(self._waiting.popleft())
            self._changed.notify()
        entries = [entry for stretch in found for entry in stretch.entries]
        return Stretch(entries, found[-1].share, found[0].exact)

    def _fits(self, last: Stretch) -> bool:
        """Return whether the next stretch waiting may go with `last`."""
        return bool(self._waiting) and not (last.exact or self._waiting[0].exact)
