"""What consumer groups have committed, looked at every two seconds.

A group has passed a record once it committed an offset behind it. So the last look that showed it
not passed and the first that showed it passed are the bounds of when: the one's beginning, as it
may have been passed while the broker answered, and the other's end. A lane of the cursor is
`group:NAME topic/partition`; its place is the offset, when it was looked at, and how often the
group was reset to before it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from apps.ingest.connector import Cursor, Progress
from apps.ingest.connectors.kafka_client import Talk

LOOK_S = 2
STEP = 2000  # offsets of one lane told in one batch
BEFORE = 20_000  # offsets passed before the first look that are told, without a time

Place = tuple[str, int]


class Seen(NamedTuple):
    """Up to where a group was told of, and when that was so."""

    offset: int
    at: int  # µs, when that look began; 0 for not known
    resets: int = 0


class Look(NamedTuple):
    """What a group had committed when it was looked at."""

    committed: int
    began: int  # µs
    ended: int


class Groups:
    """Compares each look with what was told before."""

    def __init__(self, talk: Talk, wanted: re.Pattern[str], cursor: Cursor) -> None:
        self._talk, self._wanted = talk, wanted
        self._told: dict[tuple[str, Place], Seen] = {}
        self._latest: dict[tuple[str, Place], Look] = {}
        self._looked = 0.0
        for lane, place in cursor.items():
            if lane.startswith("group:"):
                group, _, where = lane.removeprefix("group:").rpartition(" ")
                topic, _, partition = where.rpartition("/")
                offset, at, resets = map(int, place.split())
                self._told[group, (topic, int(partition))] = Seen(offset, at, resets)

    def cursor(self) -> dict[str, str]:
        """Return what was told, as lanes."""
        return {
            f"group:{group} {topic}/{partition}": f"{seen.offset} {seen.at} {seen.resets}"
            for (group, (topic, partition)), seen in self._told.items()
        }

    def look(self, places: Mapping[Place, int], epoch: Callable[[str], str]) -> list[Progress]:
        """Return what is new since the last look, as far as the tap itself has read.

        places  the offset the tap reads next, by partition
        """
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._ask(places)
        found = []
        for key, (committed, began, ended) in self._latest.items():
            group, place = key
            upto = min(committed, places.get(place, 0))
            told = self._told.get(key) or Seen(max(upto - BEFORE, 0), 0)
            if told.offset > committed:
                told = Seen(committed, began, told.resets + 1)
                found.append(self._progress(group, place, epoch, told, committed, ended, "rewound"))
            elif told.offset < upto:
                step = Seen(min(upto, told.offset + STEP), told.at, told.resets)
                found.append(self._progress(group, place, epoch, told, step.offset, ended))
                # What lies beyond may have been passed too, so nothing is said of it yet.
                since = began if step.offset == committed else told.at
                told = Seen(step.offset, since, told.resets)
            elif committed == told.offset and told.at != 0:  # not passed by then: a closer bound
                told = Seen(told.offset, began, told.resets)
            self._told[key] = told
        return found

    def _ask(self, places: Mapping[Place, int]) -> None:
        admin = self._talk.admin()
        groups = self._talk.groups(admin, self._wanted)
        began = time.time_ns() // 1000
        answers = self._talk.committed(admin, groups)
        ended = time.time_ns() // 1000
        self._latest = {
            (group, place): Look(offset, began, ended)
            for group, offsets in answers.items()
            for place, offset in offsets.items()
            if place in places
        }

    def _progress(
        self,
        group: str,
        place: Place,
        epoch: Callable[[str], str],
        told: Seen,
        upto: int,
        at: int,
        word: str = "",
    ) -> Progress:
        facts = {"committed": self._latest[group, place].committed} | ({word: True} if word else {})
        return Progress(
            subscriber=group, channel=place[0], partition=str(place[1]), epoch=epoch(place[0]),
            offset=str(upto), since=str(told.offset), since_at=told.at or None, at=at,
            attempt=told.resets + 1, facts=facts,
        )  # fmt: skip
