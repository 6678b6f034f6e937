"""What is wrong with a trace, consequence first, by rules that know no system in particular."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from apps.eventlog.outline import Outline
from apps.traces.deliveries import Delivery, service
from apps.traces.timing import moved, skews
from apps.traces.tree import Tree
from apps.traces.typical import ENOUGH, Follow, Typical
from apps.traces.words import grouped, lasting, percent, times

# Wrong data first, then what is lost, missing, repaired and slow.
CODES = (
    "handled_twice", "out_of_order", "dead_lettered", "effect_without_cause", "missing_step",
    "failed_then_retried", "slow",
)  # fmt: skip
FLAGS = ("handled_twice", "out_of_order", "dead_lettered", "effect_without_cause",
         "failed_then_retried")  # fmt: skip
MOST = 200  # problems named of one trace
AMOUNTS = ("amount", "total", "quantity", "count", "value", "price", "sum", "units")
UNITS = ("currency", "unit")

Delivered = Mapping[int, Sequence[Delivery]]
Data = Callable[[int], Any]  # position -> the event's value, None where there is none


class Problem(NamedTuple):
    """One thing that is wrong. `position` is the event to look at."""

    code: str
    position: int
    subscriber: str
    title: str
    detail: str
    focus: int = 0  # the row that shows it, where it is another event

    @property
    def text(self) -> str:
        """Return it as one paragraph."""
        return f"{self.title}. {self.detail}".strip()


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
    found = _twice(tree, odd, data) + _disordered(tree, delivered) + _dead(tree, odd)
    found += _orphans(tree) + _retried(tree, odd)
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


def _by_subscriber(deliveries: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = {}
    for d in deliveries:
        found.setdefault(service(d.subscriber), []).append(d)
    return found


def _twice(tree: Tree, delivered: Delivered, data: Data) -> list[Problem]:
    found = []
    for position, deliveries in delivered.items():
        event = tree.events[position]
        for name, theirs in _by_subscriber(deliveries).items():
            handled = _repeated(theirs)
            if len(handled) < 2:
                continue
            changed, focus = _changed_twice(tree, position, name, data)
            found.append(Problem(
                "handled_twice", position, name,
                f"{name} handled {event.type} {times(len(handled))}",
                f"{_again(handled)}{changed}", focus,
            ))  # fmt: skip
    return found


def _repeated(theirs: Sequence[Delivery]) -> list[Delivery]:
    """Return those that were handled, in the group of consumers that did so most often."""
    by_group: dict[str, list[Delivery]] = {}
    for d in theirs:
        if d.outcome == "handled":
            by_group.setdefault(d.group, []).append(d)
    return max(by_group.values(), key=len, default=[])


def _again(handled: Sequence[Delivery]) -> str:
    first, second = handled[0], handled[1]
    if first.started is None or second.started is None:
        return "Delivered again."
    return f"Redelivered after {lasting(second.started - first.started)}."


def _changed_twice(tree: Tree, position: int, name: str, data: Data) -> tuple[str, int]:
    """Return what the subscriber published twice because of it, and where the second one is."""
    by_type: dict[str, list[int]] = {}
    ours = [p for p in tree.children.get(position, ()) if service(tree.events[p].source) == name]
    for child in ours:
        for p in (child, *tree.below(child)):
            event = tree.events[p]
            if service(event.source) == name and event.kind != "response":
                by_type.setdefault(event.type, []).append(p)
    repeated = {t: ps for t, ps in by_type.items() if len(ps) > 1}
    if not repeated:
        return (" Nothing was published twice.", 0)
    focus = min(ps[1] for ps in repeated.values())
    for event_type, ps in reversed(list(repeated.items())):
        if said := _doubled(event_type, [data(p) for p in ps[:10]]):
            return (f" {said}", focus)
    names = list(repeated)
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (f" Published {', '.join(names[:3])}{rest} again.", focus)


def _doubled(event_type: str, values: Sequence[Any]) -> str:
    """Return "Captured 258.00 instead of 129.00 EUR." where events repeat a quantity."""
    if not all(isinstance(v, dict) for v in values):
        return ""
    first = values[0]
    for name in AMOUNTS:
        numbers = [v.get(name) for v in values]
        if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
            continue
        if len(set(numbers)) > 1 or not numbers[0]:
            continue
        unit = next((str(first[u])[:12] for u in UNITS if isinstance(first.get(u), str)), "")
        verb = re.findall(r"[A-Z]?[a-z]+", event_type)[-1:] or [event_type]
        total, once = _number(sum(numbers)), _number(numbers[0])
        return f"{verb[0].capitalize()} {total} instead of {once} {unit}".rstrip() + "."
    return ""


def _number(value: float) -> str:
    return grouped(value) if isinstance(value, int) else f"{value:,.2f}".replace(",", "\u00a0")


def _dead(tree: Tree, delivered: Delivered) -> list[Problem]:
    found = []
    for position, deliveries in delivered.items():
        for name, theirs in _by_subscriber(deliveries).items():
            dead = [d for d in theirs if d.outcome == "dead_lettered"]
            if not dead:
                continue
            last, tries = dead[-1], [d for d in theirs if d.outcome != "skipped"]
            begin, end = tries[0].started, last.latest
            count = max(len(tries), last.attempt)
            took = f" in {lasting(end - begin)}" if begin is not None and end is not None else ""
            detail = f"{count} attempt{'s' if count != 1 else ''}{took}"
            detail += f"; last answer {last.error}" if last.error else ""
            found.append(Problem(
                "dead_lettered", position, name,
                f"{name} dead-lettered {tree.events[position].type}", f"{detail.rstrip('.')}.",
            ))  # fmt: skip
    return found


def _retried(tree: Tree, delivered: Delivered) -> list[Problem]:
    found = []
    for position, deliveries in delivered.items():
        for name, theirs in _by_subscriber(deliveries).items():
            failed = [d for d in theirs if d.outcome == "failed"]
            end = theirs[-1]
            if not failed or any(d.outcome == "dead_lettered" for d in theirs):
                continue
            what = tree.events[position].type
            error = f": {failed[-1].error}" if failed[-1].error else ""
            count = len(failed)
            tried = f"{count} attempt{'s' if count != 1 else ''} failed{error.rstrip('.')}"
            if end.outcome in ("handled", "skipped"):
                title, rest = f"{name} handled {what} after a retry", ""
                if end.started is not None and failed[0].started is not None:
                    rest = f" It took {lasting(end.started - failed[0].started)} longer."
            else:
                title, rest = f"{name} failed on {what}", " Not handled since."
            found.append(Problem("failed_then_retried", position, name, title, f"{tried}.{rest}"))
    return found


def _disordered(tree: Tree, delivered: Delivered) -> list[Problem]:
    """A subscriber took two events of one stream in hand in the wrong order, for the first time."""
    first: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for position in sorted(delivered):
        event = tree.events[position]
        if event.stream is None or event.revision is None:
            continue
        starts: dict[str, int] = {}
        for d in delivered[position]:
            if d.started is not None and d.outcome != "received":
                name = service(d.subscriber)
                starts[name] = min(starts.get(name, d.started), d.started)
        for name, begun in starts.items():
            first.setdefault((name, event.stream), []).append((begun, position))
    found = []
    for (name, _), taken in first.items():
        for before, after in pairwise(taken):
            if after[0] < before[0]:
                early, late = tree.events[after[1]], tree.events[before[1]]
                found.append(Problem(
                    "out_of_order", early.position, name,
                    f"{name} took {early.type} before {late.type}",
                    f"{late.type} was published first, and received"
                    f" {lasting(before[0] - after[0])} later.",
                ))  # fmt: skip
                break
    return found


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
            if _failed(delivered.get(position, ()), follow.service):
                continue  # it is said already that it did not work
            found.append(_absent(event, follow, delivered.get(position, ())))
    return found


def _instead(usual: Typical, cause: str, follow: Follow, there: tuple[str, str]) -> bool:
    """Return whether a service did what it does in place of a step: the two share all traces."""
    other = usual.follows.get((cause, *there))
    if other is None or other.service != follow.service:
        return False
    return other.share + follow.share <= 1.005


def _failed(deliveries: Sequence[Delivery], name: str) -> bool:
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
