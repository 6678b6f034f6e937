"""From the shop to evdebug: the past as fast as it can be stored, then the present as it happens.

Events and deliveries go through two doors. Within a stretch of `STRETCH` simulated ms the events
go first and the deliveries after them; around the planted story, entry by entry as it happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from queue import Queue
from threading import Event, Thread
from time import time
from typing import TextIO

from examples.shop.door import Door, Stopped
from examples.shop.progress import Progress
from examples.shop.shop import Entry, Shop

Batch = tuple[str, list[str]]  # door, lines

STRETCH = 2_000
STORY_AFTER = 12_000  # ms from the planted order on that are sent in the exact order
STORY_BEFORE = 2_000
AHEAD = 64  # batches made before they are sent
STEP = 250  # ms between two sendings of the live part
CATCH_UP = 120_000  # more than this behind, the shop counts as having been closed
CATCH_UP_STEP = 2_000


def past(shop: Shop, edge: int) -> Iterator[Batch]:
    """Let the shop run up to `edge` and yield what happened, in batches."""
    story = shop.plan.story
    while shop.now < edge:
        upto = min(shop.now + STRETCH, edge)
        exact = bool(story) and story - STORY_BEFORE <= upto <= story + STORY_AFTER
        shop.run(upto)
        yield from batches(shop.take(), exact=exact)


def batches(entries: list[Entry], *, exact: bool) -> Iterator[Batch]:
    """Group entries by door: events, then deliveries; or, `exact`, each run of one door."""
    if not exact:
        entries = sorted(entries, key=lambda entry: entry[0] == "deliveries")  # stable
    for door, group in groupby(entries, key=lambda entry: entry[0]):
        yield door, [line for _, line in group]


def send_past(shop: Shop, edge: int, door: Door, progress: Progress) -> int:
    """Send the past while it is made, and return how many entries it had."""
    sender = Sender(door)
    sender.start()
    start, count = shop.now, 0
    try:
        for name, lines in past(shop, edge):
            sender.put((name, lines))
            count += len(lines)
            progress.update((shop.now - start) / (edge - start), sender.sent)
    finally:
        sender.finish()
    progress.finish(count)
    return count


def write_past(shop: Shop, edge: int, events: TextIO, deliveries: TextIO) -> int:
    """Write the past to two files instead, one entry a line, and return how many it had."""
    files = {"events": events, "deliveries": deliveries}
    count = 0
    for name, lines in past(shop, edge):
        files[name].writelines(f"{line}\n" for line in lines)
        count += len(lines)
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


class Sender(Thread):
    """Sends batches in order while the next are made."""

    def __init__(self, door: Door) -> None:
        super().__init__(name="sender", daemon=True)
        self.door = door
        self.sent = 0
        self.failure: Exception | None = None
        self._queue: Queue[Batch | None] = Queue(AHEAD)

    def put(self, batch: Batch) -> None:
        """Take a batch; wait while AHEAD are waiting. Raises what sending one raised."""
        if self.failure:
            raise self.failure
        self._queue.put(batch)

    def finish(self) -> None:
        """Wait until everything is sent. Raises what sending raised."""
        self._queue.put(None)
        self.join()
        if self.failure:
            raise self.failure

    def run(self) -> None:
        while batch := self._queue.get():
            if self.failure:
                continue  # take what is still put, so that nobody waits for room
            try:
                self.door.send(batch[0], batch[1], stream=True)
                self.sent += len(batch[1])
            except Exception as failure:  # told to whoever puts the next batch
                self.failure = failure
