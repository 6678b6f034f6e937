"""A trace as a sequence: a lifeline per service, time down the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.eventlog.outline import Outline
from apps.traces.deliveries import Delivery, service
from apps.traces.problem import Problem
from apps.traces.timing import Step
from apps.traces.tree import Tree
from apps.traces.words import lasting

LINE, GAP, TOP = 32, 26, 24  # pixels
DRAWN = 120  # events
LIVES = 14  # lifelines
QUIET = 1_500_000  # µs


class Life(NamedTuple):
    """A lifeline; x in per cent."""

    service: str
    x: float


class Arrow(NamedTuple):
    """An event on its way to one subscriber."""

    x1: float
    x2: float
    look: str  # again, skip, fail, lost, or nothing
    said: str


class Message(NamedTuple):
    """One event at its moment."""

    position: int
    name: str
    service: str
    x: float
    y: int
    at: str
    arrows: list[Arrow]
    again: bool
    future: bool
    loop: bool  # an arrow leads back to the service itself


class Drawing(NamedTuple):
    """All of it."""

    lives: list[Life]
    messages: list[Message]
    gaps: list[tuple[int, str]]
    height: int
    needle: int | None
    left_out: int


class _Entry(NamedTuple):
    """An event at the moment it was published, or again when it was delivered once more."""

    when: int
    position: int
    event: Outline
    deliveries: Sequence[Delivery]
    repeated: bool


def draw(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step],
    *, at: int, again: Sequence[int] = (), problems: Sequence[Problem] = (),
) -> Drawing:  # fmt: skip
    """Return a trace as lifelines and messages, in order of time."""
    entries = _entries(tree, delivered, steps)
    missing: dict[int, list[Problem]] = {}
    for p in problems:
        if p.code == "missing_step":
            missing.setdefault(p.position, []).append(p)
    names = dict.fromkeys(service(e.event.source) for e in entries)
    for e in entries:
        names |= dict.fromkeys(service(d.subscriber) for d in e.deliveries)
    lives = [Life(n, x) for n, x in zip(list(names)[:LIVES], _spread(len(names)), strict=False)]
    xs = {life.service: life.x for life in lives}
    began = entries[0].when if entries else 0
    y, before, needle = TOP, began, None
    messages: list[Message] = []
    gaps: list[tuple[int, str]] = []
    for entry in entries[:DRAWN]:
        event = entry.event
        if entry.when - before > QUIET:
            gaps.append((y, lasting(entry.when - before)))
            y += GAP
        shown_by = entry.deliveries[0].position if entry.repeated else event.position
        future = (shown_by or event.position) > at
        if future and needle is None:
            needle = y - LINE // 2
        name = service(event.source)
        arrows = _arrows(entry.deliveries, name, xs, repeated=entry.repeated)
        if not entry.repeated:
            arrows += [
                Arrow(xs.get(name, 50.0), xs[p.subscriber], "lost", "no reaction")
                for p in missing.get(event.position, ()) if p.subscriber in xs
            ]  # fmt: skip
        messages.append(Message(
            event.position, event.type, name, xs.get(name, 50.0), y,
            f"+{(entry.when - began) / 1e6:.3f}", arrows,
            entry.repeated or event.position in again, future,
            any(a.x1 == a.x2 for a in arrows),
        ))  # fmt: skip
        y, before = y + LINE, entry.when
    return Drawing(lives, messages, gaps, y + 8, needle, max(0, len(entries) - DRAWN))


def _entries(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step]
) -> list[_Entry]:
    made = []
    for position, event in tree.events.items():
        if event.kind == "response":
            continue
        published = steps[position].published
        first, repeats = _repeats(delivered.get(position, ()))
        made.append(_Entry(published, position, event, first, False))
        for d in repeats:
            made.append(_Entry(max(published, d.started or 0), position, event, [d], True))
    return sorted(made, key=lambda e: (e.when, e.position))


def _repeats(deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
    """Return the deliveries of an event, and those to somebody who had handled it already."""
    handled: set[str] = set()
    first, repeats = [], []
    for d in deliveries:
        name = service(d.subscriber)
        if d.outcome == "handled" and name in handled and d.started is not None:
            repeats.append(d)
        else:
            first.append(d)
        if d.outcome == "handled":
            handled.add(name)
    return first, repeats


def _spread(count: int) -> list[float]:
    count = max(1, min(count, LIVES))
    return [8.0 + 84.0 * n / max(count - 1, 1) for n in range(count)]


def _arrows(
    deliveries: Sequence[Delivery], source: str, xs: Mapping[str, float], *, repeated: bool
) -> list[Arrow]:
    by_subscriber: dict[str, list[Delivery]] = {}
    for d in deliveries:
        by_subscriber.setdefault(service(d.subscriber), []).append(d)
    made = []
    for name, theirs in by_subscriber.items():
        if name not in xs:
            continue
        outcomes = [d.outcome for d in theirs]
        look, said = "", ""
        if repeated:
            look = "again"
        elif outcomes.count("handled") > 1:
            look, said = "again", f"{outcomes.count('handled')}×"
        elif "dead_lettered" in outcomes:
            look, said = "fail", "dead-lettered"
        elif outcomes[-1] == "failed":
            look, said = "fail", "failed"
        elif outcomes == ["skipped"]:
            look, said = "skip", "skipped"
        made.append(Arrow(xs.get(source, 50.0), xs[name], look, said))
    return made
