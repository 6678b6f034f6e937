"""Rules that must hold, followed as the log grows: where one breaks is a finding."""

from __future__ import annotations

import time

from apps.audits.commands import rule as noting
from apps.eventlog.places import Line
from apps.eventlog.queries import streams
from apps.projections.queries import watches
from apps.projections.queries.watches import Rule

SKIPPED = 10_000  # events that did not touch a rule, before it is noted that they were seen


def follow(line: Line, *, budget: float = 1.0) -> None:
    """Look at what is new for each rule anybody keeps of a system, and note where it turns.

    budget  seconds after which it goes on another time, where it was
    """
    kept = watches.rules(line)
    noting.only(line, [subject(rule) for rule in kept])
    deadline = time.monotonic() + budget
    stirred: dict[int, set[str] | None] = {}
    for rule in kept:
        left = deadline - time.monotonic()
        if left <= 0:
            return
        _follow(line, rule, stirred, seconds=left)


def _follow(line: Line, rule: Rule, stirred: dict[int, set[str] | None], *, seconds: float) -> None:
    name = subject(rule)
    after, broken = noting.place(line, name)
    if after >= line.head:
        return
    if after not in stirred:
        stirred[after] = streams.stirred(line, after=after)
    if not watches.touched(rule, stirred[after]):
        if line.head - after > SKIPPED:
            noting.turned(line, name, [], after=after, upto=line.head)
        return
    found = watches.changes(line, rule, after=after, broken=broken, seconds=seconds)
    turns = [
        noting.Turn(then.position, then.log_time, then.value is False, stream)
        for then, stream in found.found
    ]
    noting.turned(line, name, turns, after=after, upto=found.upto)


def subject(rule: Rule) -> str:
    """Return how findings name a rule: its words, and whose they are where they do not say."""
    of = " of ".join(part for part in (rule.projection, rule.stream) if part)
    return f"{rule.expression} ({of})"[:1024] if of else rule.expression[:1024]
