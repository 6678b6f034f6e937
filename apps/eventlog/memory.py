"""What a writer remembers of a timeline between appends, so that most events need no look-up.

Plain dictionaries with bounds; `commands.append` fills them from the database and throws them
away when a transaction it wrote in did not commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.eventlog import seen

NAMES = 100_000  # streams, and as many correlations, remembered before both start anew

LANES = 20_000  # the same for lanes: a type of its own for every event must not fill the memory

Lane = tuple[str, str, str, str, str, str]


class Tail:
    """The identities of the positions after the last full run, newest last."""

    def __init__(self, start: int) -> None:
        self.start = start  # positions start + 1, start + 2, … are held
        self.digests: list[int] = []
        self.identities: list[int] = []
        self.correlations: list[int | None] = []
        self._by_id: dict[int, int | list[int]] = {}
        self._by_identity: dict[int, int | list[int]] = {}

    @property
    def head(self) -> int:
        """The last position held."""
        return self.start + len(self.digests)

    def extend(
        self,
        digests: Sequence[int],
        identities: Sequence[int],
        correlations: Sequence[int | None],
    ) -> None:
        """Add the next positions."""
        _put(self._by_id, digests, self.head + 1)
        _put(self._by_identity, identities, self.head + 1)
        self.digests += digests
        self.identities += identities
        self.correlations += correlations

    def with_id(self, digest: int) -> list[int]:
        """Return the positions whose id has this digest, in order."""
        return _positions(self._by_id.get(digest))

    def with_identity(self, identity: int) -> list[int]:
        """Return the positions whose (source, id) has this digest, in order."""
        return _positions(self._by_identity.get(identity))

    def last_with_id(self, digest: int) -> int | None:
        """Return the newest position whose id has this digest."""
        held = self._by_id.get(digest)
        return held[-1] if isinstance(held, list) else held

    def has_any_identity(self, identities: Sequence[int]) -> bool:
        """Return whether a (source, id) with one of these digests is held."""
        return not self._by_identity.keys().isdisjoint(identities)

    def correlation_at(self, position: int) -> int | None:
        """Return the correlation of a position that is held."""
        return self.correlations[position - self.start - 1]

    def correct(self, position: int, correlation: int | None) -> None:
        """Remember the correlation a delivery took from its late event."""
        if correlation is not None and self.start < position <= self.head:
            self.correlations[position - self.start - 1] = correlation

    def after(self, position: int) -> Tail:
        """Return a tail of what lies after `position`."""
        rest = Tail(position)
        skip = position - self.start
        rest.extend(self.digests[skip:], self.identities[skip:], self.correlations[skip:])
        return rest


def _put(held: dict[int, int | list[int]], digests: Sequence[int], first: int) -> None:
    fresh = dict(zip(digests, range(first, first + len(digests)), strict=True))
    if len(fresh) == len(digests) and held.keys().isdisjoint(fresh):
        held.update(fresh)  # the usual case, ten times quicker
        return
    for position, digest in enumerate(digests, first):
        before = held.setdefault(digest, position)
        if isinstance(before, list):
            before.append(position)
        elif before != position:
            held[digest] = [before, position]


def _positions(held: int | list[int] | None) -> list[int]:
    if held is None:
        return []
    return held if isinstance(held, list) else [held]


class Memory:
    """All that is remembered of one timeline."""

    def __init__(self, born: object, start: int) -> None:
        self.born = born  # when the timeline was made: ids may be given out again
        self.tail = Tail(start)
        self.by_id = seen.Filters()
        self.by_identity = seen.Filters()
        self.parents: dict[int, seen.Filters] = {}  # a fork's ancestors -> their id filters
        self.lanes: dict[Lane, int] = {}
        self.seeds: dict[str, int] = {}  # source -> seed
        self.strings: dict[int, Lane] = {}
        self.failures: set[int] = set()  # lanes that count as failed
        self.streams: dict[str, int] = {}
        self.revisions: dict[int, int] = {}  # stream -> last revision
        self.correlations: dict[str, int] = {}
        self.waiting: bool | None = None  # whether any effect waits for its cause; None: look

    @property
    def sealed(self) -> int:
        """The last position in a full run."""
        return self.tail.start

    def seed(self, source: str) -> int:
        """Return what tells this source's ids from others'."""
        found = self.seeds.get(source)
        if found is None:
            found = self.seeds[source] = seen.source_seed(source)
        return found

    def trim(self) -> None:
        """Keep within bounds, at the end of a batch: what is thrown out is looked up again."""
        if len(self.strings) > LANES:
            self.lanes.clear()
            self.strings.clear()
            self.failures.clear()
        if len(self.streams) > NAMES:
            self.streams.clear()
            self.revisions.clear()
        if len(self.correlations) > NAMES:
            self.correlations.clear()
        if len(self.seeds) > NAMES:
            self.seeds.clear()
