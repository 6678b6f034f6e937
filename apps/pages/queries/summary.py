"""What is counted of a query's matches: by value, over time, and after the playhead."""

from __future__ import annotations

import time
from typing import NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries.counts import facets
from apps.eventlog.queries.search import Count, count
from apps.eventlog.suggest import Vocabulary
from apps.pages import charts, edits
from apps.pages.queries.bars import bars
from apps.pages.queries.browser import Asked
from apps.pages.queries.dock import chosen
from apps.pages.queries.moments import Moment
from apps.pages.queries.services import Cast, cast
from apps.pages.ticks import percent
from apps.pages.tiles import Tile
from apps.pages.words import step

HEIGHT = 44
SHOWN = 12  # values of a facet before "more"
TITLES = {
    "type": "Type",
    "outcome": "Deliveries",
    "source": "Source",
    "channel": "Channel",
    "kind": "Kind",
}
DOTS = {
    "handled": "ok",
    "received": "off",
    "failed": "fail",
    "dead_lettered": "fail",
    "skipped": "warn",
}


class Value(NamedTuple):
    """One value of a facet."""

    value: str
    events: int
    share: str  # percent of the most frequent one
    chosen: bool
    query: str  # the query with this value added or taken away
    tile: Tile | None
    dot: str


class Facet(NamedTuple):
    """How matches are spread over the values of one field."""

    field: str
    title: str
    values: list[Value]
    rest: list[Value]
    open: bool


class Matches(NamedTuple):
    """Matches over time, over all events."""

    bins: int
    all: str
    found: str
    step: str
    label: str
    needle: str
    rest: str


class Summary(NamedTuple):
    """All counts of a query."""

    facets: list[Facet]
    matches: Matches | None
    upto: Count  # at or before the playhead
    after: Count | None  # after it; None when live
    took: int  # ms


def summary(line: Line, wanted: Asked, at: Moment, *, zoom: str = "") -> Summary:
    """Return the counts of a query as of a moment."""
    began = time.perf_counter()
    found = facets(line, wanted.effective, at=at.position, widen=True)
    upto = count(line, wanted.effective, at=at.position)
    after = None
    if not at.live and at.position < line.head:
        after = count(line, f"{wanted.effective} position>{at.position}")
    took = round((time.perf_counter() - began) * 1000)
    drawn = _facets(line, wanted, at, found)
    return Summary(drawn, matches(line, wanted, at, zoom=zoom), upto, after, max(took, 1))


def vocabulary(line: Line, *, at: int) -> Vocabulary:
    """Return the values worth suggesting, with their counts."""
    return facets(line, "", at=at)


def matches(line: Line, wanted: Asked, at: Moment, *, zoom: str) -> Matches | None:
    """Return the chart of matches over the transport's window, None where nothing is recorded."""
    if not line.head or line.log_time is None:
        return None
    window = chosen(line, at, zoom)
    found, plain = (
        [b.count for b in counted] for counted in bars(line, window, wanted.effective, "")
    )
    x = percent(_now(line, at) - window.start, window.end - window.start)
    return Matches(
        len(plain),
        charts.bars(plain, top=charts.ceiling(plain), height=HEIGHT),
        charts.bars(found, top=charts.ceiling(found), height=HEIGHT),
        step(window.step),
        f"Matches per {step(window.step)}: {sum(found)} of {sum(plain)} events in this window",
        x,
        f"{100 - float(x[:-1]):.3f}%",
    )


def _now(line: Line, at: Moment) -> int:
    return at.time if at.time is not None else (line.log_time or 0)


def _facets(
    line: Line, wanted: Asked, at: Moment, found: dict[str, list[tuple[str, int]]]
) -> list[Facet]:
    if not wanted.query.terms:
        # Rows are events, so what became of deliveries is counted on its own.
        found["outcome"] = facets(line, "kind:delivery", at=at.position)["outcome"]
    seen = cast(line.system)
    made = []
    for field, title in TITLES.items():
        picked = edits.chosen(wanted.query, field)
        values = {v: n for v, n in found.get(field, []) if v}
        values |= dict.fromkeys(sorted(picked - values.keys()), 0)
        if not values or (field == "kind" and len(values) < 2 and not picked):
            continue
        most = max(values.values()) or 1
        drawn = [
            Value(
                value,
                n,
                percent(n, most),
                value in picked,
                edits.toggled(wanted.text, field, value),
                _tile(seen, field, value),
                DOTS.get(value, "off") if field == "outcome" else "",
            )
            for value, n in values.items()
        ]
        made.append(Facet(field, title, drawn[:SHOWN], drawn[SHOWN:], open=field != "kind"))
    return made


def _tile(seen: Cast, field: str, value: str) -> Tile | None:
    if field == "type":
        return seen.of_type(value)
    return seen.of(value) if field == "source" else None
