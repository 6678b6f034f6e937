"""What goes wrong when events are delivered: twice, in the wrong order, failed, given up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from apps.traces.deliveries import Delivery, service
from apps.traces.problem import Data, Delivered, Problem, by_subscriber
from apps.traces.tree import Tree
from apps.traces.words import grouped, lasting, times

AMOUNTS = ("amount", "total", "quantity", "count", "value", "price", "sum", "units")
UNITS = ("currency", "unit")


def twice(tree: Tree, delivered: Delivered, data: Data) -> list[Problem]:
    """A subscriber handled an event more than once, and what it did twice because of that."""
    found = []
    for position, deliveries in delivered.items():
        event = tree.events[position]
        for name, theirs in by_subscriber(deliveries).items():
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


def dead(tree: Tree, delivered: Delivered) -> list[Problem]:
    """A subscriber gave an event up."""
    found = []
    for position, deliveries in delivered.items():
        for name, theirs in by_subscriber(deliveries).items():
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


def failed(tree: Tree, delivered: Delivered) -> list[Problem]:
    """A subscriber failed on an event: handled after a retry, or not handled since."""
    found = []
    for position, deliveries in delivered.items():
        for name, theirs in by_subscriber(deliveries).items():
            bad = [d for d in theirs if d.outcome == "failed"]
            if bad and not any(d.outcome == "dead_lettered" for d in theirs):
                found.append(_failed(position, name, tree.events[position].type, bad, theirs[-1]))
    return found


def _failed(position: int, name: str, what: str, bad: Sequence[Delivery], end: Delivery) -> Problem:
    error = f": {bad[-1].error}" if bad[-1].error else ""
    tried = f"{len(bad)} attempt{'s' if len(bad) != 1 else ''} failed{error.rstrip('.')}."
    if end.outcome not in ("handled", "skipped"):
        title = f"{name} failed on {what}"
        return Problem("failed", position, name, title, f"{tried} Not handled since.")
    if end.started is not None and bad[0].started is not None:
        tried += f" It took {lasting(end.started - bad[0].started)} longer."
    title = f"{name} handled {what} after a retry"
    return Problem("failed_then_retried", position, name, title, tried)


def disordered(tree: Tree, delivered: Delivered) -> list[Problem]:
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
