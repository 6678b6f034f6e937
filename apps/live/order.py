"""In which order services are drawn: from where things begin, by steps of cause and effect."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from apps.live.counters import BESIDE, Lane, Route

Ticks = Iterable[tuple[int, int, int, int | None, bytes | None]]


def routes(ticks: Ticks, lanes: Mapping[int, Lane]) -> set[Route]:
    """Return on which channels each subscriber was told."""
    of: dict[int, str] = {}  # position -> the channel it is on
    found = set()
    for position, number, _, cause, _ in ticks:
        lane = lanes.get(number)
        if lane is None:
            continue
        if lane.kind not in BESIDE:
            of[position] = lane.channel
        elif lane.kind == "delivery" and cause in of:
            found.add(Route(of[cause], lane.service))
    return found


def hops(ticks: Ticks, lanes: Mapping[int, Lane]) -> list[str]:
    """Return services from left to right.

    First the one with the most events that nothing caused, then those whose events its events
    caused, and so on; what is never reached comes last. Among equals who was there first.
    """
    of: dict[int, str] = {}  # position -> who published it
    begun: Counter[str] = Counter()
    leads: defaultdict[str, set[str]] = defaultdict(set)
    seen = dict.fromkeys(lane.service for lane in lanes.values())
    for position, number, _, cause, _ in ticks:
        lane = lanes.get(number)
        if lane is None or lane.kind in BESIDE:
            continue
        of[position] = lane.service
        if cause is None:
            begun[lane.service] += 1
        elif cause in of:
            leads[of[cause]].add(lane.service)
    first = max(begun, key=lambda name: begun[name], default=None)
    layer = [first] if first else []
    found = dict.fromkeys(layer)
    while layer:
        reached = {name for each in layer for name in leads[each]}
        layer = [name for name in seen if name in reached and name not in found]
        found |= dict.fromkeys(layer)
    return [*found, *(name for name in seen if name not in found)]
