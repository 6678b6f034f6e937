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
from apps.sandbox.recording import Recording

PAGE = 5000


def recording(
    line: Line, *, base: int, until: int, handlers: Mapping[str, Iterable[str]]
) -> Recording:
    """Return the stretch base < position <= until, with what it refers to before it.

    raises  BadRecipe for one with more entries than EVDEBUG_SANDBOX_EVENTS
    """
    bounded(base, until)
    entries = list(_entries(line, base, until))
    causes = {e.cause for e in entries if e.cause is not None and e.cause <= base}
    earlier = {e.position: e for e in log.events_at(line, causes)} if causes else {}
    return Recording(entries, base=base, until=until, handlers=handlers, earlier=earlier)


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
