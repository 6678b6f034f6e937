"""Reading a stretch of the log as a Recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.conf import settings

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import exact
from apps.projections.errors import UnknownStream
from apps.projections.exact import MISSING
from apps.projections.queries.states import state_at
from apps.sandbox.errors import BadRecipe
from apps.sandbox.recording import Recording, service_of

PAGE = 5000


def recording(
    line: Line, *, base: int, until: int, handlers: Mapping[str, Iterable[str]]
) -> Recording:
    """Return the stretch base < position <= until, with what it refers to before it.

    handlers  by service; one that handles nothing is taken to handle what it was delivered
    raises    BadRecipe for one with more entries than EVDEBUG_SANDBOX_EVENTS, or to which nothing
              was delivered
    """
    bounded(base, until)
    entries = list(_entries(line, base, until))
    causes = {e.cause for e in entries if e.cause is not None and e.cause <= base}
    earlier = {e.position: e for e in log.events_at(line, causes)} if causes else {}
    if unknown := {service for service, types in handlers.items() if not types}:
        handlers = dict(handlers) | _delivered(unknown, entries, earlier)
    return Recording(entries, base=base, until=until, handlers=handlers, earlier=earlier)


def _delivered(
    services: set[str], entries: Iterable[Recorded], earlier: Mapping[int, Recorded]
) -> dict[str, set[str]]:
    """Return what services were delivered. raises  BadRecipe where one was delivered nothing"""
    types = {position: e.type for position, e in earlier.items()}
    found: dict[str, set[str]] = {service: set() for service in services}
    for e in entries:
        types[e.position] = e.type
        service = service_of(e.source)
        if e.kind == "delivery" and service in found and e.cause in types:
            found[service].add(types[e.cause])
    if silent := sorted(service for service, some in found.items() if not some):
        raise BadRecipe(
            f"Nothing was delivered to {silent[0]} in this stretch, as far as is known: say which"
            ' event types it handles, in "types".'
        )
    return found


def bounded(base: int, until: int) -> None:
    """Refuse a stretch that is too long to be held."""
    if until - base > settings.SANDBOX_EVENTS:
        raise BadRecipe(
            f"#{base} to #{until} are {until - base} entries; a run takes at most"
            f" {settings.SANDBOX_EVENTS} (EVDEBUG_SANDBOX_EVENTS). Choose a later fork point or"
            " an earlier end."
        )


def _entries(line: Line, base: int, until: int) -> Iterable[Recorded]:
    after = base
    while after < until:
        rows = log.read(line, after=after, upto=until, limit=PAGE)
        if not rows:
            return
        yield from rows
        after = rows[-1].position


def before(line: Line, stream: str, base: int) -> Any:
    """Return a stream's state at the fork point as handlers see it; MISSING without one."""
    try:
        found = state_at(line, stream, at=base).state
    except UnknownStream:
        return MISSING
    if found is MISSING:
        return MISSING
    return msgspec.json.decode(exact.encode(found))
