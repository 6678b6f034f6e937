"""What became of an event at its subscribers, in one sign each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from apps.pages.tiles import Tile, tile

SIGNS = {"ok": "✓", "retry": "↻", "fail": "✗", "dup": "×", "eq": "=", "wait": "…"}


class Reported(NamedTuple):
    """One delivery as far as a chip needs it."""

    position: int
    subscriber: str
    outcome: str


class Chip(NamedTuple):
    """The sign of one subscriber."""

    tile: Tile
    sign: str
    look: str  # ok, retry, fail, dup, eq, wait: dl-… in the style sheet
    words: str
    future: bool  # nothing of it has happened yet at the playhead


def chips(reported: Iterable[Reported], tiles: dict[str, Tile], *, at: int) -> list[Chip]:
    """Return a chip for each subscriber, in the order the services first appeared."""
    by_subscriber: dict[str, list[Reported]] = {}
    for report in sorted(reported):
        by_subscriber.setdefault(report.subscriber, []).append(report)
    made = []
    for subscriber, reports in by_subscriber.items():
        look, sign, words = verdict([report.outcome for report in reports])
        future = reports[0].position > at
        name = tile(tiles, subscriber)
        said = f"{name.name} {words}{' after this moment' if future else ''}"
        made.append(Chip(name, sign, look, said, future))
    return sorted(made, key=lambda chip: chip.tile.rank)


def verdict(outcomes: list[str]) -> tuple[str, str, str]:
    """Return (look, sign, words) for the outcomes one subscriber reported for an event, in order.

    Handled more than once outweighs all; else the last word counts. A repeat that was skipped
    does not undo that the event was handled.
    """
    handled = outcomes.count("handled")
    if handled > 1:
        times = "twice" if handled == 2 else f"{handled} times"
        return "dup", f"{handled}×", f"handled {times}"
    last = next((o for o in reversed(outcomes) if o not in ("received", "skipped")), "")
    if last == "handled":
        failed = "failed" in outcomes or "dead_lettered" in outcomes
        return ("retry", "↻", "handled after a retry") if failed else ("ok", "✓", "handled")
    if last:
        return "fail", "✗", "dead-lettered" if last == "dead_lettered" else "failed"
    if "skipped" in outcomes:
        return "eq", "=", "skipped as duplicate"
    return "wait", "…", "has not answered yet"


def sentence(made: list[Chip]) -> str:
    """Return what all chips of an event say, as one phrase."""
    return ", ".join(chip.words for chip in made)
