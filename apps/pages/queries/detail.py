"""All that is known of one event: what the drawer shows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from apps.eventlog.envelope import Recorded, Undecodable, microseconds
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries.search import search
from apps.eventlog.terms import written
from apps.pages import outcomes, payload
from apps.pages.queries.browser import tile_of
from apps.pages.queries.services import Cast, cast
from apps.pages.tiles import Tile
from apps.pages.words import visible

SIBLINGS = 20
EFFECTS = 100


class Delivery(NamedTuple):
    """One report of a delivery, as a line of the drawer."""

    event: Recorded
    tile: Tile
    words: str
    look: str  # class of the tag
    attempt: int | None
    took: int | None  # µs
    error: str


class Neighbour(NamedTuple):
    """Another event, as a line of the drawer."""

    event: Recorded
    tile: Tile


class Detail(NamedTuple):
    """One event with its surroundings."""

    event: Recorded
    tile: Tile
    tree: payload.Node | None  # None where the data is not JSON
    why_not: str  # why there is no tree
    deliveries: list[Delivery]
    chips: list[outcomes.Chip]
    effects: list[Neighbour]
    more_effects: bool
    cause: Neighbour | None
    siblings: list[Neighbour]
    previous: int | None  # in its stream
    next: int | None
    metadata: list[tuple[str, str]]


def detail(line: Line, position: int, *, at: int) -> Detail | None:
    """Return what is known of an event, None where the line has none at this position."""
    event = log.event(line, position)
    if event is None:
        return None
    seen = cast(line.system)
    caused = log.effects(line, position, limit=EFFECTS + 1)
    delivered = [e for e in caused if e.kind == "delivery"]
    effects = [e for e in caused if e.kind not in ("delivery", "span")]
    tree, why_not = _tree(event)
    reported = [outcomes.Reported(e.position, e.source, e.type) for e in delivered]
    previous, following = _in_stream(line, event)
    return Detail(
        event=event,
        tile=tile_of(seen, event),
        tree=tree,
        why_not=why_not,
        deliveries=[_delivery(seen, e) for e in delivered],
        chips=outcomes.chips(reported, seen.tiles, at=at),
        effects=[Neighbour(e, tile_of(seen, e)) for e in effects],
        more_effects=len(caused) > EFFECTS,
        cause=_cause(line, seen, event),
        siblings=_siblings(line, seen, event),
        previous=previous,
        next=following,
        metadata=_metadata(event),
    )


def _tree(event: Recorded) -> tuple[payload.Node | None, str]:
    if event.data is None:
        return None, "The data was deleted; only the event's place in the log is left."
    if not event.data:
        return None, "The event carries no data."
    try:
        return payload.tree(event.data), ""
    except Undecodable as error:
        return None, str(error)


def _delivery(seen: Cast, event: Recorded) -> Delivery:
    try:
        told = event.value()
    except Undecodable:
        told = None
    told = told if isinstance(told, dict) else {}
    words = {
        "dead_lettered": "dead-lettered", "skipped": "skipped as duplicate", "received": "received"
    }.get(event.type, event.type)  # fmt: skip
    look = {"handled": "tag-ok", "failed": "tag-fail", "dead_lettered": "tag-fail"}
    attempt, error = told.get("attempt"), told.get("error")
    return Delivery(
        event,
        seen.of(event.source),
        words,
        look.get(event.type, ""),
        attempt if isinstance(attempt, int) and not isinstance(attempt, bool) else None,
        _took(told),
        visible(error)[:2000] if isinstance(error, str) else "",
    )


def _took(told: dict[str, object]) -> int | None:
    try:
        first, last = (datetime.fromisoformat(str(told[k])) for k in ("started_at", "finished_at"))
        return microseconds(last) - microseconds(first)
    except (KeyError, ValueError, TypeError):
        return None


def _cause(line: Line, seen: Cast, event: Recorded) -> Neighbour | None:
    found = log.event(line, event.cause) if event.cause is not None else None
    return Neighbour(found, tile_of(seen, found)) if found else None


def _siblings(line: Line, seen: Cast, event: Recorded) -> list[Neighbour]:
    """Return the first events of the same correlation, without deliveries."""
    if not event.correlation:
        return []
    text = f"correlation:{written(event.correlation)} -kind:delivery,progress,span"
    found = search(line, text, limit=SIBLINGS, ascending=True).events
    return [Neighbour(e, tile_of(seen, e)) for e in found]


def _in_stream(line: Line, event: Recorded) -> tuple[int | None, int | None]:
    if not event.stream:
        return None, None
    text = f"stream:{written(event.stream)}"
    before = search(line, text, before=event.position, limit=1).events
    after = search(line, text, after=event.position, limit=1, ascending=True).events
    return (before[0].position if before else None, after[0].position if after else None)


def _metadata(event: Recorded) -> list[tuple[str, str]]:
    return [
        (visible(name), visible(value if isinstance(value, str) else json.dumps(value)))
        for name, value in list(event.headers().items())[:200]
    ]
