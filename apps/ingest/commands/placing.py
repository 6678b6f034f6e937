"""From what a bus tells of an offset to the position of the event that was there."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest import observed
from apps.ingest.connector import Delivery, Progress, Record
from apps.ingest.models import Span, Unplaced

REMEMBERED = 100_000  # offsets in memory
SPANS = 50_000  # kept per tap
PRUNE_EVERY = 500  # commits
WAITING = 50_000  # deliveries whose record has not come
PATIENCE = 3_600_000_000  # µs before such a delivery is stored without its event

Key = tuple[int, str]  # lane, offset


class Places:
    """Where the records of one tap went. Used inside the transaction of each commit.

    What a commit that fails had remembered is forgotten by making a new one.
    """

    def __init__(self, tap: int, name: str) -> None:
        self._tap, self._name = tap, name
        self._known: dict[Key, int] = {}
        self._commits = 0
        self._waiting: dict[Key, list[tuple[int, int, Delivery]]] = defaultdict(list)
        for row in Unplaced.objects.filter(tap=tap).order_by("pk"):
            d = msgspec.msgpack.decode(bytes(row.delivery), type=Delivery)
            self._waiting[row.lane, row.offset].append((row.pk, row.seen_at, d))

    def note(self, records: Sequence[tuple[Record, int]]) -> list[Envelope]:
        """Remember the positions of records, and return the deliveries that waited for them."""
        lanes: dict[int, dict[str, int]] = defaultdict(dict)
        hashes: dict[tuple[str, str, str], int] = {}
        for record, position in records:
            if not record.offset:
                continue
            place = (record.channel, record.partition, record.epoch)
            lane = hashes.get(place)
            if lane is None:
                lane = hashes[place] = observed.lane(*place)
            lanes[lane][record.offset] = position
        spans = []
        for lane, places in lanes.items():
            first, *_, last = *places, next(reversed(places))  # a lane comes in its order
            ends = sorted((observed.sortable(first), observed.sortable(last)))
            spans.append(
                Span(tap=self._tap, lane=lane, first=ends[0], last=ends[1],
                     places=msgspec.msgpack.encode(places))
            )  # fmt: skip
            self._known.update({(lane, offset): at for offset, at in places.items()})
        Span.objects.bulk_create(spans)
        self._forget()
        return self._come(lanes)

    def _forget(self) -> None:
        while len(self._known) > REMEMBERED:
            for key in list(self._known)[: REMEMBERED // 4]:
                del self._known[key]
        self._commits += 1
        if self._commits % PRUNE_EVERY == 0:
            last = Span.objects.filter(tap=self._tap).order_by("-pk")[SPANS : SPANS + 1]
            for span in last:
                Span.objects.filter(tap=self._tap, pk__lte=span.pk).delete()

    def _come(self, lanes: dict[int, dict[str, int]]) -> list[Envelope]:
        if not self._waiting:
            return []
        found, rows = [], []
        for lane, places in lanes.items():
            for offset in [o for o in places if (lane, o) in self._waiting]:
                for pk, _, d in self._waiting.pop((lane, offset)):
                    rows.append(pk)
                    found.append(self._event(d, places[offset]))
        Unplaced.objects.filter(pk__in=rows).delete()
        return found

    def place(
        self, deliveries: Iterable[Delivery], clean: Callable[[Delivery], Delivery]
    ) -> list[Envelope]:
        """Return deliveries as events; those whose record is still to come are kept for then.

        clean  takes out what must not be stored; records are known by where they really were
        """
        found, waiting = [], []
        for raw in deliveries:
            d = clean(raw)
            if not d.offset:
                found.append(self._event(d, None))
                continue
            key = (observed.lane(raw.channel, raw.partition, raw.epoch), d.offset)
            position = self._known.get(key) or self._look_up(*key)
            if position is not None:
                found.append(self._event(d, position))
            else:
                waiting.append((key, d))
        self._wait(waiting)
        return [*found, *self._given_up()]

    def passed(self, progress: Progress) -> list[Envelope]:
        """Return the deliveries of the records a subscriber has passed."""
        if not progress.since or progress.since == progress.offset:
            return []
        lane = observed.lane(progress.channel, progress.partition, progress.epoch)
        low, high = int(progress.since), int(progress.offset)
        found = {o: self._known[lane, str(o)] for o in range(low, high)
                 if (lane, str(o)) in self._known}  # fmt: skip
        if len(found) < high - low:
            spans = Span.objects.filter(
                tap=self._tap, lane=lane, first__lt=observed.sortable(progress.offset),
                last__gte=observed.sortable(progress.since),
            )  # fmt: skip
            for span in spans:
                places = msgspec.msgpack.decode(bytes(span.places), type=dict[str, int])
                found |= {int(o): at for o, at in places.items() if low <= int(o) < high}
        return [self._event(_passing(progress, str(o)), at) for o, at in sorted(found.items())]

    def _look_up(self, lane: int, offset: str) -> int | None:
        key = observed.sortable(offset)
        spans = Span.objects.filter(tap=self._tap, lane=lane, first__lte=key, last__gte=key)
        for span in spans.order_by("-first")[:20]:
            places = msgspec.msgpack.decode(bytes(span.places), type=dict[str, int])
            self._known.update({(lane, o): at for o, at in places.items()})
            if offset in places:
                return places[offset]
        return None

    def _wait(self, deliveries: Sequence[tuple[Key, Delivery]]) -> None:
        now = time.time_ns() // 1000
        for (lane, offset), d in deliveries:
            row = Unplaced.objects.create(
                tap=self._tap, lane=lane, offset=offset, delivery=msgspec.msgpack.encode(d),
                seen_at=now,
            )  # fmt: skip
            self._waiting[lane, offset].append((row.pk, now, d))

    def _given_up(self) -> list[Envelope]:
        """Return deliveries whose record will hardly come: the oldest of too many, or too old."""
        if not self._waiting:
            return []
        before = time.time_ns() // 1000 - PATIENCE
        found, rows = [], []
        for key in list(self._waiting):
            held = self._waiting[key]
            if held[0][1] >= before and len(self._waiting) <= WAITING:
                break  # in the order they came
            del self._waiting[key]
            rows += [pk for pk, _, _ in held]
            found += [self._event(d, None) for _, _, d in held]
        Unplaced.objects.filter(pk__in=rows).delete()
        return found

    def _event(self, d: Delivery, position: int | None) -> Envelope:
        now = time.time_ns() // 1000
        return observed.delivery(d, tap=self._name, position=position, now=now)


def _passing(p: Progress, offset: str) -> Delivery:
    return Delivery(
        subscriber=p.subscriber, outcome="handled", evidence="passed", channel=p.channel,
        partition=p.partition, offset=offset, epoch=p.epoch, attempt=p.attempt,
        earliest=p.since_at, latest=p.at,
    )  # fmt: skip
