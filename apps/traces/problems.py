"""What is wrong with a trace, consequence first, by rules that know no system in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.eventlog.outline import Outline
from apps.traces.deliveries import Delivery, service
from apps.traces.mishaps import dead, disordered, failed, twice
from apps.traces.problem import CODES, FLAGS, Data, Delivered, Problem
from apps.traces.timing import moved, skews
from apps.traces.tree import Tree
from apps.traces.typical import ENOUGH, Follow, Typical
from apps.traces.words import grouped, lasting, percent

MOST = 200  # problems named of one trace


def nothing(position: int) -> Any:
    """Return no data: for those who only want to know which problems there are."""
    return None


def problems(
    tree: Tree, delivered: Delivered, *, usual: Typical | None = None, now: int | None = None,
    data: Data = nothing, behind: Mapping[str, int] | None = None,
) -> list[Problem]:  # fmt: skip
    """Return what is wrong, the worst first, at most MOST.

    usual  what traces of its kind are like; None leaves out what only that can tell
    behind what the clocks are corrected by, where that is known already
    now    the moment of the judgement, µs: what may still come is not missing; None: all is over
    """
    odd = {p: ds for p, ds in delivered.items() if not _is_ordinary(ds)}
    found = twice(tree, odd, data) + disordered(tree, delivered) + dead(tree, odd)
    found += _orphans(tree) + failed(tree, odd)
    if usual is not None and usual.enough:
        behind = skews(tree, delivered) if behind is None else behind
        found += _missing(tree, delivered, usual, now, behind) + _slow(tree, usual, behind)
    found.sort(key=lambda p: (CODES.index(p.code), p.position))
    return found[:MOST]


def flags(tree: Tree, delivered: Delivered) -> int:
    """Return the problems that can be told from the trace alone, as bits in order of FLAGS."""
    codes = {p.code for p in problems(tree, delivered)}
    return sum(1 << n for n, code in enumerate(FLAGS) if code in codes)


def _is_ordinary(deliveries: Sequence[Delivery]) -> bool:
    """Return whether each subscriber handled it once: nearly always, and nothing to look into."""
    if len(deliveries) > 1:
        names = {service(d.subscriber) for d in deliveries}
        if len(names) < len(deliveries):
            return False
    return all(d.outcome == "handled" for d in deliveries)


def _orphans(tree: Tree) -> list[Problem]:
    found = []
    for position in sorted(tree.lost):
        event = tree.events[position]
        found.append(Problem(
            "effect_without_cause", position, service(event.source),
            f"{event.type} names a cause nobody recorded",
            f"{service(event.source) or 'Its producer'} published it as the effect of an event"
            " that is not in the log.",
        ))  # fmt: skip
    return found


def _missing(
    tree: Tree, delivered: Delivered, usual: Typical, now: int | None, behind: Mapping[str, int]
) -> list[Problem]:
    found = []
    expected = {t: usual.expected(t) for t in {e.type for e in tree.events.values()}}
    for position in tree.order:
        event = tree.events[position]
        if not expected[event.type]:
            continue
        there = {
            (service(tree.events[c].source), tree.events[c].type)
            for c in tree.children.get(position, ())
        }
        for follow in expected[event.type]:
            if (follow.service, follow.effect) in there or follow.seen < ENOUGH:
                continue
            if any(_instead(usual, event.type, follow, one) for one in there):
                continue
            due = moved(event, behind) + follow.p99
            if now is not None and now < due:
                continue
            if _gave_up(delivered.get(position, ()), follow.service):
                continue  # it is said already that it did not work
            found.append(_absent(event, follow, delivered.get(position, ())))
    return found


def _instead(usual: Typical, cause: str, follow: Follow, there: tuple[str, str]) -> bool:
    """Return whether a service did what it does in place of a step: the two share all traces."""
    other = usual.follows.get((cause, *there))
    if other is None or other.service != follow.service:
        return False
    return other.share + follow.share <= 1.005


def _gave_up(deliveries: Sequence[Delivery], name: str) -> bool:
    theirs = [d for d in deliveries if service(d.subscriber) == name]
    return bool(theirs) and all(d.outcome in ("failed", "dead_lettered", "skipped") for d in theirs)


def _absent(event: Outline, follow: Follow, deliveries: Sequence[Delivery]) -> Problem:
    told = any(service(d.subscriber) == follow.service for d in deliveries)
    heard = "" if told else f" Nothing shows that {follow.service} received it."
    return Problem(
        "missing_step", event.position, follow.service,
        f"{follow.service} did not react to {event.type}",
        f"{follow.effect} follows in {percent(follow.share)} of traces,"
        f" within {lasting(follow.p99)}.{heard}",
    )  # fmt: skip


def _slow(tree: Tree, usual: Typical, behind: Mapping[str, int]) -> list[Problem]:
    """A step longer than p99, and felt; of what one service did for one cause, the longest.

    What a repeated delivery made it do again is late for that reason, and told already.
    """
    found: dict[tuple[int, str], tuple[int, int, Follow]] = {}
    made: set[tuple[int, str, str]] = set()
    for position, cause in tree.parent.items():
        event, before = tree.events[position], tree.events[cause]
        follow = usual.follow(before.type, event.source, event.type)
        if follow is None or event.kind == "response":
            continue
        if (cause, follow.service, follow.effect) in made:
            continue
        made.add((cause, follow.service, follow.effect))
        gap = moved(event, behind) - moved(before, behind)
        key = (cause, follow.service)
        if gap > max(follow.p99, 2 * follow.p50) and (gap, position) > found.get(key, (0, 0))[:2]:
            found[key] = (gap, position, follow)
    return [
        Problem(
            "slow", position, follow.service, f"{follow.service} took {lasting(gap)}",
            f"{follow.cause} → {follow.effect}: p50 {lasting(follow.p50)},"
            f" p99 {lasting(follow.p99)} over {grouped(follow.seen)} traces.",
        )
        for gap, position, follow in found.values()
    ]  # fmt: skip
