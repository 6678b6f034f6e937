"""A page of the event browser: rows as of the playhead, their columns and what became of each."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries.reports import reports
from apps.eventlog.queries.search import search
from apps.eventlog.query import parse
from apps.eventlog.terms import Query
from apps.pages import edits, links, outcomes, payload
from apps.pages.queries.services import Cast, cast
from apps.pages.tiles import Tile, shown
from apps.pages.words import visible

PAGE = 60
OUTCOMES = {"dead_lettered": "dead-lettered", "skipped": "skipped as duplicate"}
QUIET = "-kind:delivery,progress,span"  # what became of events is shown on their own rows


class Asked(NamedTuple):
    """What somebody wants to see."""

    text: str  # as typed
    query: Query
    effective: str  # what is searched for
    columns: list[str]  # dotted paths into data


class Row(NamedTuple):
    """One event in the table."""

    event: Recorded
    tile: Tile
    type: str  # this and the next three as shown
    source: str
    stream: str
    correlation: str
    cells: list[str]
    chips: list[outcomes.Chip]
    said: str  # the chips in words
    new_day: bool  # its date is not that of the row above


class Rows(NamedTuple):
    """A page of the table, newest first."""

    rows: list[Row]
    older: int | None  # `before` of the next page
    newer: int | None  # `after` of the page above, None at the playhead
    complete: bool
    scanned_to: int | None


def asked(text: str, *, columns: list[str], everything: bool) -> Asked:
    """Read a query. Deliveries and progress are left out unless it speaks of them.

    everything  shows them all the same
    raises      QueryError
    """
    query = parse(text)
    speaks = any(edits.mentions(query, name) for name in ("kind", "outcome", "subscriber"))
    effective = text if everything or speaks else f"{text} {QUIET}".strip()
    shown = list(dict.fromkeys([*columns, *edits.paths(query)]))[: links.COLUMNS]
    return Asked(text.strip(), query, effective, shown)


def rows(
    line: Line,
    wanted: Asked,
    *,
    at: int,
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> Rows:
    """Return up to `limit` matches at or before `at`, newest first.

    before  only older ones than this position
    after   only newer ones, those nearest to it
    """
    upwards = after is not None and before is None
    page = search(
        line, wanted.effective, at=at, before=before, after=after, limit=limit, ascending=upwards
    )
    events = list(reversed(page.events)) if upwards else page.events
    newer = events[0].position if events and (page.next if upwards else before) else None
    older = (events[-1].position if events else None) if upwards else page.next
    made = drawn(line, events, wanted.columns, at=at)
    return Rows(made, older, newer, page.complete, page.scanned_to)


def drawn(line: Line, events: list[Recorded], columns: list[str], *, at: int) -> list[Row]:
    """Return events as rows of the table."""
    seen = cast(line.system)
    positions = [e.position for e in events if e.kind != "delivery"]
    told = reports(line, positions, known=seen.lanes).by_event
    made, day = [], None
    for event in events:
        reported = [
            outcomes.Reported(r.position, r.subscriber, r.outcome)
            for r in told.get(event.position, ())
        ]
        chips = outcomes.chips(reported, seen.tiles, at=at)
        cells = [payload.value_at(event.data or b"", path) for path in columns]
        today = event.log_time // 86_400_000_000
        new_day, day = day is not None and today != day, today
        made.append(
            Row(
                event,
                tile_of(seen, event),
                outcome_words(event.type) if event.kind == "delivery" else visible(event.type),
                shown(event.source),
                visible(event.stream),
                visible(event.correlation),
                cells,
                chips,
                outcomes.sentence(chips),
                new_day,
            )
        )
    return made


def outcome_words(outcome: str) -> str:
    """Return an outcome in words: dead-lettered, skipped as duplicate."""
    return OUTCOMES.get(outcome) or visible(outcome)


def tile_of(seen: Cast, event: Recorded) -> Tile:
    """Return the tile of whoever published an event; of the subscriber, for a delivery."""
    return seen.of(event.source) if event.source else seen.of_type(event.type)


def offered(made: list[Row], shown: list[str]) -> list[str]:
    """Return the paths that could be columns too, from what the first rows hold."""
    found: dict[str, None] = {}
    for row in made[:5]:
        found.update(dict.fromkeys(payload.leaves(row.event.data or b"")))
    return [path for path in found if path not in shown][:40]
