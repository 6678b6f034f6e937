"""The newest events as rows: for a page that is asked for, and for all who follow the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from html import escape

import msgspec
from django.urls import reverse

from apps.eventlog.envelope import Recorded, Undecodable
from apps.eventlog.match import matcher
from apps.eventlog.places import Line
from apps.eventlog.queries import log, ticks
from apps.eventlog.queries.search import search
from apps.eventlog.query import parse
from apps.eventlog.terms import Query
from apps.live.hub import KEPT, Row
from apps.pages import words
from apps.pages.queries.browser import asked
from apps.pages.queries.services import cast
from apps.pages.templatetags.evdebug import tile, when
from apps.pages.words import visible

AT_ONCE, BYTES = 500, 8 * 1024 * 1024  # of new events that are read once, for all queries
SAID = 90  # characters of a row's summary

Draw = Callable[[Recorded], Row]


def tail(line: Line, query: str, *, after: int = 0, at: int | None = None) -> list[Row]:
    """Return the rows of the last events a query finds after a position, newest last.

    raises  QueryError
    """
    found = search(line, _effective(query), at=at, after=after, limit=KEPT)
    return [*map(_drawer(line), reversed(found.events))]


def tails(line: Line, after: Mapping[str, int]) -> dict[str, list[Row]]:
    """Return for each query what `tail` returns after its position.

    cost  the few events that are new are read once and held against each query, which an index
          would not make quicker; where there are many, or large ones, one search for each query
    """
    least = min(after.values(), default=line.head)
    fresh = line.head - least
    if fresh <= 0:
        return {query: [] for query in after}
    if fresh > AT_ONCE or (fresh > 1 and ticks.weight(line, after=least) > BYTES):
        return {query: tail(line, query, after=at) for query, at in after.items()}
    events = log.read(line, after=least, limit=AT_ONCE)
    rows: dict[int, Row] = {}
    draw = _drawer(line)
    return {query: _held(line, query, at, events, rows, draw) for query, at in after.items()}


def _held(
    line: Line, query: str, after: int, events: Iterable[Recorded], rows: dict[int, Row], draw: Draw
) -> list[Row]:
    """Return the rows of those events a query holds for; each is drawn once and kept in `rows`."""
    parsed = _parsed(query)
    if any(term.field.sort == "handled" for term in parsed.terms):  # of deliveries yet to come
        return tail(line, query, after=after)
    holds = matcher(parsed, as_of=line.log_time)
    found = [event for event in events if event.position > after and holds(event)][-KEPT:]
    for event in found:
        if event.position not in rows:
            rows[event.position] = draw(event)
    return [rows[event.position] for event in found]


@lru_cache(maxsize=512)
def _parsed(query: str) -> Query:
    return parse(_effective(query))


def _effective(query: str) -> str:
    return asked(query, columns=[], everything=False).effective


def _drawer(line: Line) -> Draw:
    """Return what writes a row, by code: hundreds come a second. Every text is escaped."""
    seen, link = cast(line.system), escape(reverse("pages:events", args=[line.slug]))

    def draw(event: Recorded) -> Row:
        drawn = seen.of(event.source) if event.source else seen.of_type(event.type)
        at, state = event.position, ' class="t-fail"' if event.failed else ""
        stream = escape(visible(event.stream or ""))
        return Row(
            at,
            f'<tr data-row="{at}"{state}><td class="dim nw">{when(event.log_time)}</td>'
            f'<td><a class="pos pos-q" href="?at={at}" data-seek="{at}">{words.place(at)}</a></td>'
            f'<td><a class="ev" href="{link}?event={at}">{tile(drawn)}'
            f'<span class="ev-t"><bdi>{escape(visible(event.type))}</bdi></span></a></td>'
            f'<td class="tl-s" title="{stream}"><bdi>{stream}</bdi></td>'
            f'<td class="t2"><bdi>{escape(_summary(event))}</bdi></td></tr>',
        )

    return draw


def _summary(event: Recorded) -> str:
    """Return the first plain values of an event's data, in short."""
    try:
        value = msgspec.json.decode(event.data or b"null", type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Undecodable):
        return ""
    said: list[str] = []
    for name, raw in value.items():
        text = bytes(memoryview(raw)[:SAID]).decode("utf-8", "replace").strip('"')
        if text[:1] not in "{[" and text != event.stream:
            said.append(f"{name} {text}")
        if sum(map(len, said)) > SAID:
            break
    return visible(" · ".join(said))[:SAID]
