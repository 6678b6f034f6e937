"""The states of many streams at one moment, in a few queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.projections import merge
from apps.projections.exact import MISSING
from apps.projections.queries import snapshots
from apps.projections.queries.states import FINGERPRINT, read, state_at

TOGETHER = 100  # streams asked for at once
SHORT = 400  # events of one stream that are folded here; longer ones are worth a snapshot


def states_at(line: Line, streams: Sequence[str], *, at: int) -> dict[str, Any]:
    """Return the state of each of these streams after the events up to a position."""
    found: dict[str, Any] = {}
    for start in range(0, len(streams), TOGETHER):
        found |= _together(line, streams[start : start + TOGETHER], at)
    return found


def _together(line: Line, streams: Sequence[str], at: int) -> dict[str, Any]:
    numbers = facts.numbers(line, streams)
    named = {number: name for name, number in numbers.items()}
    long = snapshots.with_any(line, FINGERPRINT, list(named), upto=at)
    short = [number for number in named if number not in long]
    states: dict[int, Any] = dict.fromkeys(short, MISSING)
    counts = dict.fromkeys(short, 0)
    for page in facts.of_streams(line, short, upto=at) if short else ():
        lanes = facts.lanes(line, {fact.lane for fact in page})
        for fact in page:
            lane = lanes[fact.lane]
            counts[fact.stream] += 1
            if lane.kind == "event":
                data = read(fact.data, lane.content_type)[0]
                states[fact.stream] = merge.apply(states[fact.stream], data)
        if max(counts.values()) > SHORT:
            long |= set(counts)  # one by one, which keeps snapshots of those that are long
            break
    done = {named[number]: state for number, state in states.items() if number not in long}
    return done | {named[n]: state_at(line, named[n], at=at).state for n in long}
