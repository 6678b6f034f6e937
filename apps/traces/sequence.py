"""A trace as a sequence: a lifeline per service, time down the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.traces.deliveries import Delivery, service
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
    look: str  # again, skip, fail, lost
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


class Drawing(NamedTuple):
    """All of it."""

    lives: list[Life]
    messages: list[Message]
    gaps: list[tuple[int, str]]
    height: int
    needle: int | None
    left_out: int


def draw(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step],
    *, at: int, again: Sequence[int] = (),
) -> Drawing:  # fmt: skip
    """Return a trace as lifelines and messages, in order of time."""
    events = [e for e in tree.events.values() if e.kind != "response"]
    events.sort(key=lambda e: (steps[e.position].published, e.position))
    names = dict.fromkeys(service(e.source) for e in events)
    for e in events:
        names |= dict.fromkeys(service(d.subscriber) for d in delivered.get(e.position, ()))
    lives = [Life(n, x) for n, x in zip(list(names)[:LIVES], _spread(len(names)), strict=False)]
    xs = {life.service: life.x for life in lives}
    began = steps[events[0].position].published if events else 0
    y, before, needle = TOP, began, None
    messages: list[Message] = []
    gaps: list[tuple[int, str]] = []
    for event in events[:DRAWN]:
        published = steps[event.position].published
        if published - before > QUIET:
            gaps.append((y, lasting(published - before)))
            y += GAP
        if event.position > at and needle is None:
            needle = y - LINE // 2
        name = service(event.source)
        messages.append(Message(
            event.position, event.type, name, xs.get(name, 50.0), y,
            f"+{(published - began) / 1e6:.3f}",
            _arrows(delivered.get(event.position, ()), name, xs),
            event.position in again, event.position > at,
        ))  # fmt: skip
        y, before = y + LINE, published
    return Drawing(lives, messages, gaps, y + 8, needle, max(0, len(events) - DRAWN))


def _spread(count: int) -> list[float]:
    count = max(1, min(count, LIVES))
    return [8.0 + 84.0 * n / max(count - 1, 1) for n in range(count)]


def _arrows(deliveries: Sequence[Delivery], source: str, xs: Mapping[str, float]) -> list[Arrow]:
    by_subscriber: dict[str, list[Delivery]] = {}
    for d in deliveries:
        by_subscriber.setdefault(service(d.subscriber), []).append(d)
    made = []
    for name, theirs in by_subscriber.items():
        if name not in xs:
            continue
        outcomes = [d.outcome for d in theirs]
        look, said = "", ""
        if outcomes.count("handled") > 1:
            look, said = "again", f"{outcomes.count('handled')}×"
        elif "dead_lettered" in outcomes:
            look, said = "fail", "dead-lettered"
        elif outcomes[-1] == "failed":
            look, said = "fail", "failed"
        elif outcomes == ["skipped"]:
            look, said = "skip", "skipped"
        made.append(Arrow(xs.get(source, 50.0), xs[name], look, said))
    return made
