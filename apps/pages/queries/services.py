"""The services of a system as they are drawn, and which of them publishes a type."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.queries.lanes import Strings, lanes
from apps.pages.tiles import Tile, tile, tiles

REMEMBERED = 200  # systems
WIDEST = 20_000  # lanes of a system that is remembered; one with a type for each event has more


class Cast(NamedTuple):
    """Who takes part in a system, in order of first appearance."""

    lanes: dict[int, Strings]
    tiles: dict[str, Tile]
    publishers: dict[str, str]  # type -> the service that published it first
    taps: dict[str, set[str]]  # channel -> the taps its events come by, "" for another door

    def of(self, service: str) -> Tile:
        """Return the tile of a service."""
        return tile(self.tiles, service)

    def of_type(self, name: str) -> Tile:
        """Return the tile of the service that publishes a type."""
        return tile(self.tiles, self.publishers.get(name, ""))


_known: dict[int, tuple[int, Cast]] = {}  # lanes are never changed or removed: their number tells


def cast(system: int) -> Cast:
    """Return who takes part in a system."""
    found = lanes(system)
    known = _known.get(system)
    if known and known[0] == len(found) and known[1].lanes == found:
        return known[1]
    publishers: dict[str, str] = {}
    taps_: dict[str, set[str]] = {}
    for lane in found.values():
        if lane.kind not in ("delivery", "progress", "span"):
            publishers.setdefault(lane.type, lane.source)
            taps_.setdefault(lane.channel, set()).add(lane.tap)
    made = Cast(found, tiles(lane.source for lane in found.values()), publishers, taps_)
    if len(_known) >= REMEMBERED or len(found) > WIDEST:
        _known.clear()
    if len(found) <= WIDEST:
        _known[system] = (len(found), made)
    return made
