"""Two stretches of history beside each other: what is the same, changed, missing and new.

Entries are aligned by what they are, not by where: first by identity, then by cause, type and
stream, in order among those alike. So an event put in at the front does not make the rest differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from apps.projections.diff import rising

COMPARED = frozenset({"event", "command"})


class Entry(NamedTuple):
    """One event as it is compared. `content` is equal where stream and data are."""

    position: int
    id: str
    source: str
    type: str
    stream: str
    cause: int | None
    content: object
    kind: str = "event"


class Pair(NamedTuple):
    """One line: what was recorded and what the sandbox has, either may be None.

    unexpected  it differs and descends from no edit
    moved       it is the same, but came in another order
    """

    verdict: str  # same, changed, missing, new
    original: int | None
    sandbox: int | None
    unexpected: bool = False
    moved: bool = False


class Comparison(NamedTuple):
    """All pairs in the order of the history, and their numbers."""

    pairs: list[Pair]
    same: int
    changed: int
    missing: int
    new: int
    unexpected: int

    @property
    def first_divergence(self) -> Pair | None:
        """The first that is not the same."""
        return next((pair for pair in self.pairs if pair.verdict != "same"), None)

    @property
    def identical(self) -> bool:
        """Whether nothing differs, order included."""
        return self.same == len(self.pairs) and not any(pair.moved for pair in self.pairs)


Expected = Callable[[int | None, int | None], bool]


def compare(
    recorded: Sequence[Entry], sandbox: Sequence[Entry],
    expected: Expected = lambda original, made: True,
) -> Comparison:  # fmt: skip
    """Return how two stretches compare; both in order of position.

    expected  whether a difference at (recorded position, sandbox position) descends from an edit
    """
    partner = _aligned(recorded, sandbox)
    by_position = {entry.position: entry for entry in sandbox}
    kept = [partner[e.position] for e in recorded if e.position in partner]
    in_order = set(rising(kept))
    pairs: list[Pair] = []
    for entry in recorded:
        at = partner.get(entry.position)
        if at is None:
            wanted = expected(entry.position, None)
            pairs.append(Pair("missing", entry.position, None, unexpected=not wanted))
            continue
        same = entry.content == by_position[at].content
        pairs.append(Pair(
            "same" if same else "changed", entry.position, at,
            unexpected=not same and not expected(entry.position, at), moved=at not in in_order,
        ))  # fmt: skip
    taken = set(kept)
    new = [
        Pair("new", None, e.position, unexpected=not expected(None, e.position))
        for e in sandbox if e.position not in taken
    ]  # fmt: skip
    return _counted(_woven(pairs, new))


def _counted(pairs: list[Pair]) -> Comparison:
    numbers = {"same": 0, "changed": 0, "missing": 0, "new": 0}
    for pair in pairs:
        numbers[pair.verdict] += 1
    return Comparison(pairs, **numbers, unexpected=sum(pair.unexpected for pair in pairs))


def _aligned(recorded: Sequence[Entry], sandbox: Sequence[Entry]) -> dict[int, int]:
    """Return recorded position: sandbox position, for those that stand for each other."""
    partner: dict[int, int] = {}
    _match(recorded, sandbox, partner, lambda e: (e.source, e.id))
    left = [e for e in recorded if e.position not in partner]
    if left:
        taken = set(partner.values())
        rest = [e for e in sandbox if e.position not in taken]
        back = {made: original for original, made in partner.items()}

        def cause(entry: Entry, inside: bool) -> int | None:
            at = entry.cause
            return back.get(at, at) if inside and at is not None else at

        ours = {e.position: (cause(e, False), e.type, e.source, e.stream) for e in left}
        theirs = {e.position: (cause(e, True), e.type, e.source, e.stream) for e in rest}
        _match(left, rest, partner, lambda e: ours.get(e.position), lambda e: theirs[e.position])
    return partner


def _match(
    recorded: Iterable[Entry], sandbox: Iterable[Entry], partner: dict[int, int],
    key: Callable[[Entry], object], other: Callable[[Entry], object] | None = None,
) -> None:  # fmt: skip
    """Pair those with the same key, in order."""
    waiting: dict[object, list[int]] = defaultdict(list)
    for entry in sandbox:
        waiting[(other or key)(entry)].append(entry.position)
    for positions in waiting.values():
        positions.reverse()
    for entry in recorded:
        places = waiting.get(key(entry))
        if places:
            partner[entry.position] = places.pop()


def _woven(pairs: list[Pair], new: list[Pair]) -> list[Pair]:
    """Put what is new where it happened: after what it followed in the sandbox."""
    if not new:
        return pairs
    woven: list[Pair] = []
    at = 0
    for pair in pairs:
        if pair.sandbox is not None and not pair.moved:
            while at < len(new) and (new[at].sandbox or 0) < pair.sandbox:
                woven.append(new[at])
                at += 1
        woven.append(pair)
    return woven + new[at:]
