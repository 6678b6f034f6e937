"""What two looks at a Redis consumer group say of its deliveries.

Redis tells nobody when an entry is acknowledged. But an entry up to the last delivered one is
either in the group's list of pending entries or settled, so the difference of two looks is exact
for every entry, and its time lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from apps.ingest.connector import Delivery, Evidence
from apps.ingest.connectors.redis_entries import milliseconds, order

WATCHED = 20_000  # pending entries of a group that are followed; the oldest are let go first
GIVEN_AGAIN = "Not acknowledged, and given again."
SET_PAST = "The group's place was set past this entry; it was given to nobody."


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a group's list: who has it, since when (µs), and how often it was given."""

    owner: str
    at: int
    count: int


@dataclass(frozen=True, slots=True)
class Look:
    """A group at one moment (µs, by the clock of Redis)."""

    at: int
    last: str  # id of the last entry delivered
    entries_read: int | None
    pending: Mapping[str, Pending]
    complete: bool = True  # whether `pending` is all of it


class Group(msgspec.Struct):
    """What was told of one group so far. It goes into the cursor, so nothing is told twice."""

    told: str  # every entry up to this one was told
    at: int  # when it was looked at last
    entries_read: int | None = None
    watched: dict[str, Pending] = {}  # told as received, not settled yet
    ahead: set[str] = set()  # of the entries after `told`, those that were told nevertheless

    def encode(self) -> str:
        """Return it as text; `decode` reads it."""
        return msgspec.json.encode(self).decode()


def decode(text: str) -> Group:
    """Return the group `encode` wrote."""
    return msgspec.json.decode(text, type=Group)


def begun(look: Look, *, known_before: str | None) -> Group:
    """Return a group seen for the first time.

    What it got before cannot be told from what it passed over. Entries that were added after
    another look (`known_before` was the last entry then) can only have been delivered to it.
    """
    told = look.last
    if look.entries_read is not None and known_before is not None:
        told = min(look.last, known_before, key=order)
    group = Group(told, look.at, look.entries_read)
    for entry, pending in look.pending.items():
        if order(entry) <= order(told):
            group.watched[entry] = pending
    return group


class Teller:
    """Tells the deliveries between a group's last look and this one, and moves the group on."""

    def __init__(self, stream: str, epoch: str, name: str, group: Group, look: Look) -> None:
        self._stream, self._epoch, self._name = stream, epoch, name
        self._group, self._look = group, look

    def first(self) -> list[Delivery]:
        """Return what is pending in a group seen for the first time."""
        return [d for e, p in self._group.watched.items() for d in self._given(e, p, 0)]

    def settled(self, gone_consumers: Iterable[str] = ()) -> list[Delivery]:
        """Return what became of the entries that were pending, and which are pending now.

        gone_consumers  those deleted since, together with what they had not acknowledged: whether
                        it was handled is not known
        """
        gone = set(gone_consumers)
        found: list[Delivery] = []
        for entry, before in list(self._group.watched.items()):
            now = self._look.pending.get(entry)
            if now is not None:
                if now.count > before.count:
                    found += self._given(entry, now, before.count)
                self._group.watched[entry] = now
            elif self._look.complete:
                del self._group.watched[entry]
                if before.owner not in gone:
                    found.append(self._handled(entry, before.count, before.owner))
        return found + self._new()

    def _new(self) -> list[Delivery]:
        """Return the entries that are pending now, and were not at the last look.

        However far telling the others lags behind: when their turn comes they may be settled, and
        how often they were given would not be known any more.
        """
        found: list[Delivery] = []
        told, watched = order(self._group.told), self._group.watched
        for entry, pending in self._look.pending.items():
            if entry in watched or len(watched) >= WATCHED or order(entry) <= told:
                continue
            if entry not in self._group.ahead:
                watched[entry] = pending
                self._group.ahead.add(entry)
                found += self._given(entry, pending, 0)
        return found

    def vanished(self) -> set[str]:
        """Return the owners of entries that are pending no more."""
        if not self._look.complete:
            return set()
        watched, pending = self._group.watched, self._look.pending
        return {before.owner for entry, before in watched.items() if entry not in pending}

    def passed(self, entries: Iterable[str], upto: str) -> list[Delivery]:
        """Return what became of `entries`, which are all there were after those told up to `upto`.

        Call it before `done`, and after `settled`.
        """
        found: list[Delivery] = []
        set_past = self._group.entries_read is not None and self._look.entries_read is None
        for entry in entries:
            if entry in self._group.ahead:
                self._group.ahead.remove(entry)
            elif (pending := self._look.pending.get(entry)) is not None:
                self._group.watched[entry] = pending
                found += self._given(entry, pending, 0)
            elif set_past:
                found.append(self._delivery(entry, "skipped", 1, error=SET_PAST))
            else:
                found.append(self._handled(entry, 1, ""))
        self._group.told = upto
        while len(self._group.watched) > WATCHED:
            del self._group.watched[next(iter(self._group.watched))]
        return found

    def done(self) -> None:
        """Note that this look is told, if it is: what is left is told with the next one."""
        if order(self._group.told) >= order(self._look.last):
            self._group.at, self._group.entries_read = self._look.at, self._look.entries_read

    def _given(self, entry: str, pending: Pending, told: int) -> Iterator[Delivery]:
        """Yield the attempts after `told`: all but the last failed, the last one is going on."""
        for attempt in range(max(told, 1), pending.count):
            yield self._delivery(entry, "failed", attempt, upto=pending.at, error=GIVEN_AGAIN)
        yield self._delivery(
            entry, "received", max(pending.count, 1), earliest=pending.at, upto=pending.at,
            facts={"consumer": pending.owner},
        )  # fmt: skip

    def _handled(self, entry: str, attempt: int, owner: str) -> Delivery:
        facts = {"consumer": owner} if owner else {}
        return self._delivery(entry, "handled", max(attempt, 1), facts=facts)

    def _delivery(
        self, entry: str, outcome: str, attempt: int, *, earliest: int | None = None,
        upto: int | None = None, error: str = "", facts: Mapping[str, Any] | None = None,
    ) -> Delivery:  # fmt: skip
        latest = self._look.at if upto is None else upto
        since = max(self._group.at, milliseconds(entry) * 1000)
        evidence: Evidence = "delivered" if outcome == "received" else "acked"
        return Delivery(
            subscriber=self._name, channel=self._stream, epoch=self._epoch, offset=entry,
            outcome=outcome, attempt=attempt, evidence=evidence,
            earliest=min(since if earliest is None else earliest, latest), latest=latest,
            error=error, facts=facts or {},
        )  # fmt: skip
