"""Searching behind the page: started, worked on by whoever is free, followed, stopped.

The rows are the truth; Celery only rings. A search of all streams is shared out by stream, one of a
single stream by stretches between snapshots, and so are the busiest of all, so that two workers are
about twice as quick.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from celery import current_app
from django.db import DatabaseError, transaction
from django.db.models import F

from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import facts, log
from apps.projections.errors import BadExpression
from apps.projections.grammar import ExpressionError
from apps.projections.models import Part, Search
from apps.projections.queries import scanning
from apps.projections.queries.finding import find, read_expression

logger = logging.getLogger(__name__)

Kept = Search  # what pages hold of one
LEASE_S = 30.0
SHARES = 2  # of all streams: each reads past the others' events, so more would cost more
STRETCH = 50_000  # positions below which one stream is not cut
RUNNING, KEPT = 4, 50  # searches of one person: at once, and remembered


def start(
    line: Line, stream: str, text: str, *, after: int, upto: int, owner: int, projection: str = ""
) -> Search:
    """Keep a search and its parts; the caller rings. One that is there and whole is taken again.

    raises  BadExpression, also when the person has RUNNING searches that are not done
    """
    read_expression(text)
    mine = Search.objects.filter(system=line.system, owner=owner)
    asked = {
        "timeline": line.timeline, "stream": stream, "expression": text, "after": after,
        "upto": upto, "projection": projection,
    }  # fmt: skip
    same = mine.filter(stopped=False, error="", **asked).order_by("-pk").first()
    if same is not None:
        return same
    if mine.filter(stopped=False, error="", parts__done=False).distinct().count() >= RUNNING:
        raise BadExpression(f"{RUNNING} searches of yours are running; stop one first.")
    cuts = _cuts(line, stream, after, upto)
    with transaction.atomic():
        made = Search.objects.create(system=line.system, owner=owner, **asked)
        Part.objects.bulk_create(Part(search=made, **cut) for cut in cuts)
        old = mine.order_by("-pk").values_list("pk", flat=True)[KEPT:]
        Search.objects.filter(pk__in=list(old)).delete()
    return made


def _cuts(line: Line, stream: str, after: int, upto: int) -> list[dict[str, Any]]:
    if not stream or stream.endswith("*"):
        shares = scanning.shares(line, SHARES, after=after, upto=upto)
        return [
            {"share": each.n, "of": each.of, "apart": each.apart, "after": after, "upto": upto}
            for each in shares
        ]
    if upto - after < 2 * STRETCH:
        return [{"after": after, "upto": upto}]
    middle = (after + upto) // 2
    return [{"after": after, "upto": middle}, {"after": middle, "upto": upto}]


def search(line: Line, number: int, *, owner: int) -> Search | None:
    """Return one of a person's searches."""
    return Search.objects.filter(system=line.system, owner=owner, pk=number).first()


def ring(kept: Search) -> None:
    """Wake workers for the parts that are free; more than there are do no harm."""
    for _ in range(kept.parts.filter(done=False).count()):
        try:
            current_app.send_task("apps.projections.tasks.search", [kept.pk])
        except OSError as error:  # the broker is away: whoever follows the search rings again
            logger.warning("Nobody could be told of a search: %s", error)


class Progress(NamedTuple):
    """How far a search is. `position` is the answer once `done`, None for never."""

    done: bool
    stopped: bool
    error: str
    share: float  # of the work, 0 to 1
    checked: int
    position: int | None
    stream: str
    waiting: bool  # nobody works on a part that is free


def progress(search: Search, *, now: Callable[[], float] = time.time) -> Progress:
    """Return how far a search is."""
    parts = list(search.parts.all())
    hits = sorted((p.found, p.found_stream) for p in parts if p.found is not None)
    position, stream = hits[0] if hits else (None, "")
    open_parts = [p for p in parts if not p.done and not _late(p, position)]
    span = sum(p.upto - p.after for p in parts) or 1
    come = sum((p.upto if p not in open_parts else max(p.at, p.after)) - p.after for p in parts)
    return Progress(
        done=not open_parts, stopped=search.stopped, error=search.error,
        share=min(1.0, come / span), checked=sum(p.checked for p in parts), position=position,
        stream=stream, waiting=any(p.lease < now() for p in open_parts),
    )  # fmt: skip


def _late(part: Part, found: int | None) -> bool:
    """Return whether a part can only find what comes after what was found."""
    return found is not None and max(part.at, part.after) >= found


def stop(search: Search) -> None:
    """Stop a search; what it found so far stays."""
    Search.objects.filter(pk=search.pk).update(stopped=True)


def work(number: int) -> None:
    """Take parts of a search, one after the other, until none is free."""
    search = Search.objects.filter(pk=number, stopped=False, error="").first()
    while search is not None and (part := _taken(search)) is not None:
        try:
            _search(search, part)
        except (EventLogError, ExpressionError) as error:
            Search.objects.filter(pk=number).update(error=str(error)[:1000])
            return
        search = Search.objects.filter(pk=number, stopped=False, error="").first()


def _taken(search: Search) -> Part | None:
    """Return a part that is this worker's for the time of its lease, None when none is free."""
    now = time.time()
    for part in search.parts.filter(done=False, lease__lt=now).order_by("after", "share"):
        mine = Part.objects.filter(pk=part.pk, done=False, lease=part.lease)
        if mine.update(lease=now + LEASE_S):
            return part
    return None


def _search(search: Search, part: Part) -> None:
    line = log.line_of(search.timeline)
    row = Part.objects.filter(pk=part.pk)

    def tell(checked: int, position: int) -> bool:
        try:
            row.update(at=position, checked=checked, lease=time.time() + LEASE_S)
            return not _beaten(search, part, position)
        except DatabaseError:  # the database is busy; the next word will do
            return True

    found = _find(line, search, part, tell)
    row.update(
        done=True, checked=found.checked, found=found.position, found_stream=found.stream,
        at=part.upto if found.complete else F("at"),
    )  # fmt: skip


def _find(line: Line, search: Search, part: Part, tell: scanning.Tell) -> scanning.Hit:
    expression = read_expression(search.expression)
    names = scanning.quick(expression, search.stream)
    if part.of > 1 and (names is None or search.projection):
        if part.share:  # this one cannot be shared out; the first takes all of it
            return scanning.Hit(None, "", 0)
    elif names is not None and not search.projection:
        apart = tuple((number, low, high) for number, low, high in part.apart)
        return scanning.scan_fields(
            line, search.stream, expression, names, after=part.after, upto=part.upto, tell=tell,
            share=facts.Share(part.share, part.of, apart),
        )  # fmt: skip
    found = find(
        line, search.stream, search.expression, after=part.after, upto=part.upto,
        projection=search.projection, tell=tell,
    )  # fmt: skip
    return scanning.Hit(found.position, found.stream, found.checked, found.complete)


def _beaten(search: Search, part: Part, position: int) -> bool:
    """Return whether to go no further: stopped, or another part found something earlier."""
    if Search.objects.filter(pk=search.pk, stopped=True).exists():
        return True
    others = Part.objects.filter(search=search, found__lte=position).exclude(pk=part.pk)
    return others.exists()
