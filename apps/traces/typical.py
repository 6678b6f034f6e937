"""What is usual for traces of a kind: sums over all of them, kept as counters.

A kind is the type of the root. What one trace adds are counts of keys; a trace that grew is taken
off and added anew, so the sums are the same however often and in whichever pieces it was read.
Times fall into buckets of a 16th of an octave, which makes a quantile right to 5 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from apps.traces.deliveries import Delivery, service
from apps.traces.timing import moved, skews, span
from apps.traces.tree import Tree

PER_OCTAVE = 16
COUNTED = 2000  # events of a trace that count; what a giant repeats beyond is no news
ENOUGH = 20  # traces before anything is called usual
USUALLY = 0.95  # a step that follows at least this often is expected

Key = tuple[str, ...]


class Follow(NamedTuple):
    """A step that usually follows: `effect` published by `service` after `cause`."""

    cause: str
    service: str
    effect: str
    share: float  # of the causes that had it
    seen: int
    p50: int
    p99: int
    start50: int  # p50 from the beginning of the trace to the step


class Typical(NamedTuple):
    """The usual trace of a kind."""

    kind: str
    traces: int
    duration50: int
    duration99: int
    events50: int
    follows: dict[tuple[str, str, str], Follow]
    subscribers: dict[str, dict[str, float]]  # type -> subscriber -> share of events it was told
    variants: dict[str, int]

    @property
    def enough(self) -> bool:
        """Whether enough traces were seen to call anything usual."""
        return self.traces >= ENOUGH

    def follow(self, cause: str, source: str, effect: str) -> Follow | None:
        """Return what is usual of one step, None where it is too rare to say."""
        found = self.follows.get((cause, service(source), effect))
        return found if found is not None and found.seen >= ENOUGH else None

    def expected(self, cause: str) -> list[Follow]:
        """Return the steps that nearly always follow a type."""
        return [f for f in self.follows.values() if f.cause == cause and f.share >= USUALLY]

    def subscribed(self, event_type: str) -> list[str]:
        """Return the subscribers that are nearly always told of a type."""
        told = self.subscribers.get(event_type, {})
        return sorted(name for name, share in told.items() if share >= USUALLY)


def bucket(us: int) -> int:
    """Return the bucket a length of time falls into."""
    return 0 if us < 1 else 1 + int(math.log2(us) * PER_OCTAVE)


def upper(index: int) -> int:
    """Return the longest time of a bucket."""
    return 0 if index <= 0 else math.ceil(2 ** (index / PER_OCTAVE)) - 1


def middle(index: int) -> int:
    """Return a time that stands for a bucket."""
    return 0 if index <= 0 else round(2 ** ((index - 0.5) / PER_OCTAVE))


def quantile(buckets: Mapping[int, int], share: float) -> int:
    """Return the bucket that holds a quantile; 0 of nothing."""
    total, seen = sum(buckets.values()), 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= share * total:
            return index
    return 0


def variant(tree: Tree) -> str:
    """Return the shape of a trace: which steps it has, however often and in whatever order."""
    steps = {(t, s, e) for _, t, s, e in _steps(tree)}
    return f"{crc32(repr(sorted(steps)).encode()):08x}"


def figures(tree: Tree, delivered: Mapping[int, Sequence[Delivery]]) -> Counter[Key]:
    """Return what one trace adds to the sums of its kind."""
    sums: Counter[Key] = Counter()
    behind = skews(tree, delivered)
    began, ended = span(tree, delivered, behind)
    sums["n",] = 1
    sums["d", str(bucket(ended - began))] = 1
    sums["e", str(min(shown(tree), COUNTED))] = 1
    sums["v", variant(tree)] = 1
    for position in tree.order[:COUNTED]:
        event = tree.events[position]
        sums["p", event.type] += 1
        for subscriber in {service(d.subscriber) for d in delivered.get(position, ())}:
            sums["t", event.type, subscriber] += 1
    followed = set()
    for position, *names in _steps(tree):
        event = tree.events[position]
        cause = tree.parent[position]
        step = tuple(names)
        if (cause, *step) in followed:
            continue
        followed.add((cause, *step))
        published = moved(event, behind)
        gap = published - moved(tree.events[cause], behind)
        sums["f", *step] += 1
        sums["g", *step, str(bucket(gap))] += 1
        sums["o", *step, str(bucket(published - began))] += 1
    return sums


def shown(tree: Tree) -> int:
    """Return how many events a trace has; answers of outside services are no events of it."""
    return sum(e.kind != "response" for e in tree.events.values())


def _steps(tree: Tree) -> Iterable[tuple[int, str, str, str]]:
    for position in tree.order[:COUNTED]:
        cause = tree.parent.get(position)
        event = tree.events[position]
        if cause is not None and event.kind != "response":
            yield position, tree.events[cause].type, service(event.source), event.type


def typical(kind: str, sums: Iterable[tuple[Key, int]]) -> Typical:
    """Return the usual trace that some sums describe."""
    plain: dict[str, dict[Key, int]] = {}
    for key, count in sums:
        if count > 0:
            plain.setdefault(key[0], {})[key[1:]] = count
    gaps, offsets = _histograms(plain.get("g", {})), _histograms(plain.get("o", {}))
    parents = {key[0]: count for key, count in plain.get("p", {}).items()}
    follows = {}
    for (cause, name, effect), count in plain.get("f", {}).items():
        gap = gaps.get((cause, name, effect), {})
        follows[cause, name, effect] = Follow(
            cause, name, effect, count / max(parents.get(cause, count), 1), count,
            middle(quantile(gap, 0.5)), upper(quantile(gap, 0.99)),
            middle(quantile(offsets.get((cause, name, effect), {}), 0.5)),
        )  # fmt: skip
    subscribers: dict[str, dict[str, float]] = {}
    for (name, subscriber), count in plain.get("t", {}).items():
        if parents.get(name, 0) >= ENOUGH:
            subscribers.setdefault(name, {})[subscriber] = count / parents[name]
    lengths = {int(key[0]): count for key, count in plain.get("d", {}).items()}
    events = {int(key[0]): count for key, count in plain.get("e", {}).items()}
    return Typical(
        kind, plain.get("n", {}).get((), 0), middle(quantile(lengths, 0.5)),
        upper(quantile(lengths, 0.99)), quantile(events, 0.5), follows, subscribers,
        {key[0]: count for key, count in plain.get("v", {}).items()},
    )  # fmt: skip


def _histograms(sums: Mapping[Key, int]) -> dict[Key, dict[int, int]]:
    made: dict[Key, dict[int, int]] = {}
    for key, count in sums.items():
        made.setdefault(key[:-1], {})[int(key[-1])] = count
    return made
