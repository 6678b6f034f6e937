"""The read models of a system, as the State page lists them: those across streams."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections.queries import coded, sources
from apps.projections.runner import Described, Stopped
from evdebug.sdk.registry import fits

LOOKED = 400  # of the newest events whose keys are asked for
SHOWN = 12  # entities of one model


class Model(NamedTuple):
    """One state across streams: what it is called there, and which projection makes it."""

    stream: str
    projection: str


def listed(line: Line, *, at: int) -> list[tuple[str, list[Model]]]:
    """Return the states of all, then of each other read model those that changed last."""
    shapes = sources.models(line)
    single = [Model(shape.name, shape.name) for shape in shapes if shape.by == "all"]
    found = [("Read models", single)] if single else []
    for shape in shapes:
        if shape.by == "key":
            found.append((shape.name, [Model(n, shape.name) for n in _keys(line, shape, at)]))
    return found


def _keys(line: Line, shape: Described, at: int) -> list[str]:
    """Return the keys of the newest events that feed a projection, newest first.

    Empty while its code is busy: the list waits for nobody's reducer.
    """
    child = sources.runner()
    if child is None or child.busy:
        return []
    ask = sources.projection(line, shape.name).keys
    page = log.read(line, after=max(0, at - LOOKED), upto=at, limit=LOOKED)
    feed = [
        e for e in page
        if e.kind in shape.kinds and e.data is not None and fits(shape.streams, e.stream)
    ]  # fmt: skip
    if ask is None or not feed:
        return []
    try:
        told = ask(shape.name, [coded.shown(event) for event in feed])
    except Stopped:  # opening one says why
        return []
    newest = dict.fromkeys(key for key, _ in reversed(told.keys) if key)
    return list(newest)[:SHOWN]
