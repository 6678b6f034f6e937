"""Looks at the consumer groups of a Redis stream again and again; changes nothing there."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from apps.ingest.connector import Cursor, Delivery, Progress
from apps.ingest.connectors import redis_groups
from apps.ingest.connectors.redis_entries import flat, order, text
from apps.ingest.connectors.redis_groups import Group, Look, Pending, Teller
from apps.ingest.connectors.redis_wire import Wire

LOOK_S = 0.2  # between two looks
TELL_S = 5.0  # between two reports of a group's progress
KEPT = 100_000  # ids of entries read lately, kept for the groups that follow
BETWEEN = "\x1f"  # in a cursor's lane, between a stream's key and a group's name


class Recent:
    """The ids of the entries read last, without a hole."""

    def __init__(self, after: str) -> None:
        self._after, self._ids = after, list[str]()

    def add(self, ids: Sequence[str]) -> None:
        self._ids += ids
        if len(self._ids) > 2 * KEPT:
            self._after = self._ids[-KEPT - 1]
            del self._ids[:-KEPT]

    def between(self, after: str, upto: str) -> list[str] | None:
        """Return the ids in (after, upto]; None where not all of them are known."""
        last = self._ids[-1] if self._ids else self._after
        if order(after) < order(self._after) or order(upto) > order(last):
            return None
        start = bisect_right(self._ids, order(after), key=order)
        return self._ids[start : bisect_right(self._ids, order(upto), key=order)]


class Watch:
    """The groups of one stream."""

    def __init__(self, wire: Wire, key: str, cursor: Cursor, place: str) -> None:
        self._wire, self._key = wire, key
        self._looked = self._reported = 0.0
        self.recent = Recent(place)
        self.groups: dict[bytes, Group] = {}
        for lane, value in cursor.items():
            stream, between, name = lane.partition(BETWEEN)
            if stream == key and between:
                self.groups[bytes.fromhex(name)] = redis_groups.decode(value)

    def cursor(self) -> dict[str, str]:
        """Return the lanes that keep what was told."""
        return {f"{self._key}{BETWEEN}{n.hex()}": g.encode() for n, g in self.groups.items()}

    def look(self, epoch: str, last: str, room: int) -> tuple[list[Delivery], list[Progress]]:
        """Return what the groups did since the last look, if that is a while ago.

        last  the stream's last entry when it was read
        room  how many new entries to tell of at most
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return [], []
        self._looked = now
        names = list(self.groups)
        at, infos, pendings = self._ask(names)
        told: list[Delivery] = []
        for name, pending in zip(names, pendings, strict=True):
            if name not in infos or isinstance(pending, Exception):
                del self.groups[name]  # deleted over there
                continue
            told += self._tell(epoch, name, _look(at, infos[name], pending), room - len(told))
        for name in infos.keys() - set(names):
            told += self._begin(epoch, name, last)
        if now - self._reported < TELL_S or not infos:
            return told, []
        self._reported = now
        return told, [_progress(self._key, i, last, at) for i in infos.values()]

    def _ask(self, names: Sequence[bytes]) -> tuple[int, dict[bytes, dict[str, Any]], list[Any]]:
        """Return the time (µs), the groups, and the pending entries of those named."""
        clock, groups, *pendings = self._wire.at_once([
            ("TIME",),
            ("XINFO", "GROUPS", self._key),
            *(("XPENDING", self._key, n, "-", "+", redis_groups.WATCHED) for n in names),
        ])  # fmt: skip
        infos = [] if isinstance(groups, Exception) else [flat(g) for g in groups]
        at = int(clock[0]) * 1_000_000 + int(clock[1])
        return at, {info["name"]: info for info in infos}, pendings

    def _begin(self, epoch: str, name: bytes, last: str) -> list[Delivery]:
        at, infos, (pending,) = self._ask([name])
        if name not in infos or isinstance(pending, Exception):
            return []
        look = _look(at, infos[name], pending)
        # A group that was there before us passed over entries we cannot tell from delivered ones.
        group = redis_groups.begun(look, known_before=last if self._reported else None)
        self.groups[name] = group
        self._looked = 0.0  # what it got meanwhile is told at once
        return Teller(self._key, epoch, text(name), group, look).first()

    def _tell(self, epoch: str, name: bytes, look: Look, room: int) -> list[Delivery]:
        group = self.groups[name]
        if order(look.last) < order(group.told):  # set back: what it gets now, it gets again
            group.told, group.watched, group.ahead = look.last, dict(look.pending), set()
        teller = Teller(self._key, epoch, text(name), group, look)
        told = teller.settled(self._gone(name, teller.vanished()))
        # Beyond a list of pending entries that was cut short nothing is known yet.
        known = [look.last] if look.complete else [look.last, max(look.pending, key=order)]
        upto = min(known, key=order)
        if room > len(told) and order(upto) > order(group.told):
            told += teller.passed(*self._between(group.told, upto, room - len(told)))
        if order(group.told) < order(upto):
            self._looked = 0.0  # there is more to tell at once
        teller.done()
        return told

    def _gone(self, name: bytes, owners: set[str]) -> set[str]:
        """Return which of these consumers are there no more."""
        if not owners:
            return set()
        consumers = self._wire.at_once([("XINFO", "CONSUMERS", self._key, name)])[0]
        if isinstance(consumers, Exception):
            return owners
        return owners - {text(flat(c)["name"]) for c in consumers}

    def _between(self, after: str, upto: str, room: int) -> tuple[list[str], str]:
        """Return the entries in (after, upto], `room` at most, and up to where these are all."""
        found = self.recent.between(after, upto)
        if found is None:
            read = self._wire.ask("XRANGE", self._key, f"({after}", upto, "COUNT", room)
            found = [entry.decode() for entry, _ in read]
            return found, found[-1] if len(found) == room else upto
        return (found, upto) if len(found) <= room else (found[:room], found[room - 1])


def _look(at: int, info: dict[str, Any], pending: list[Any]) -> Look:
    return Look(
        at, info["last-delivered-id"].decode(), info.get("entries-read"),
        {
            entry.decode(): Pending(text(owner), at - idle * 1000, count)
            for entry, owner, idle, count in pending
        },
        len(pending) < redis_groups.WATCHED,
    )  # fmt: skip


def _progress(key: str, info: dict[str, Any], last: str, at: int) -> Progress:
    return Progress(
        subscriber=text(info["name"]), channel=key, at=at, end=last, lag=info.get("lag"),
        offset=info["last-delivered-id"].decode(),
        facts={"pending": info["pending"], "consumers": info["consumers"]},
    )  # fmt: skip
