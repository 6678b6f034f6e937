"""Searching with states made by code: one entity, or each stream the code takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.eventlog.envelope import Recorded, isoformat
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries import streams as streaming
from apps.projections.errors import BadExpression
from apps.projections.expression import Expression
from apps.projections.queries import scanning, sources
from apps.projections.queries.histories import walk
from apps.projections.queries.scanning import COSTLY, Moment
from apps.projections.queries.states import read
from evdebug.sdk.registry import fits


def scan_code(
    line: Line, stream: str, expression: Expression, after: int, upto: int, projection: str,
    tell: scanning.Tell,
) -> scanning.Hit:  # fmt: skip
    """Look at one entity by code, or at each stream it takes, up to what was found before it."""
    if stream and not stream.endswith("*"):
        seen = coded_moments(line, stream, expression, after, upto, projection)
        return scanning.scan_moments(seen, expression, stream, tell)
    shape = sources.projection(line, projection).shape
    if shape.by != "stream":
        raise BadExpression("This projection makes no state of each stream: name its entity.")
    best, checked, low = scanning.Hit(None, stream, 0), 0, ""
    while True:
        page = streaming.streams(line, at=upto, prefix=stream.removesuffix("*"), after=low)
        for each in page.streams:
            end = best.position - 1 if best.position else upto
            if not fits(shape.streams, each.stream) or each.first > end:
                continue
            seen = coded_moments(line, each.stream, expression, after, end, projection)
            hit = scanning.scan_moments(seen, expression, each.stream, tell)
            checked += hit.checked
            if not hit.complete:
                return hit._replace(checked=checked, stream=stream)
            best = hit if hit.position is not None else best
        if page.next is None:
            return best._replace(checked=checked)
        low = page.next


def coded_moments(
    line: Line, stream: str, expression: Expression, after: int, upto: int, projection: str
) -> Iterator[Moment]:
    """Yield the moments of one entity by code; of other entities nothing is known there."""
    if expression.entities - {stream}:
        raise BadExpression("With code an expression speaks of one entity: of `state` alone.")
    steps = walk(line, stream, after=after, upto=upto, projection=projection)
    next(steps)
    for step in steps:
        asked: dict[str, Any] = {"state": step.state, "stream": stream, "position": step.position,
                                 "others": {stream: step.state}}  # fmt: skip
        if expression.roots & COSTLY and (event := log.event(line, step.position)):
            asked |= told_of(event)
        yield Moment(step.position, stream, step.log_time, asked)


def told_of(event: Recorded) -> dict[str, Any]:
    """Return what an expression may ask about an event: `event` and `time`."""
    data = read(event.data, event.content_type)[0]
    seen = {
        "type": event.type, "source": event.source, "kind": event.kind, "data": data,
        "channel": event.channel, "stream": event.stream, "position": event.position,
    }  # fmt: skip
    return {"event": seen, "time": isoformat(event.log_time)}
