"""What is known of the way in: whether it is open, how full it is, and what was turned away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.eventlog.places import Line
from apps.ingest import buses, shaping, vault
from apps.ingest.commands import taps as tapping
from apps.ingest.connector import BadSettings, Checked, TapError
from apps.ingest.connector import Line as Found
from apps.ingest.models import Reject, Tap
from apps.ingest.writer import queue

LIMIT = 500


@dataclass(frozen=True, slots=True)
class Health:
    """Whether events can be stored now; `reason` says why not."""

    ok: bool
    reason: str
    queued_events: int
    queued_bytes: int


def health() -> Health:
    """Return the state of this process's writer.

    Where no write succeeded within the last seconds one is made, and waited for 3 s at most.
    """
    writer = queue.current()
    reason = writer.proof()
    return Health(not reason, reason, writer.waiting.events, writer.waiting.bytes)


def rejects(line: Line, *, after: int = 0, limit: int = 100) -> list[Reject]:
    """Return what could not become an event of a timeline, oldest first, by id after `after`."""
    rows = Reject.objects.filter(timeline=line.timeline, pk__gt=after).order_by("pk")
    return list(rows[: min(limit, LIMIT)])


def taps(line: Line) -> list[Tap]:
    """Return a system's taps, by name."""
    return list(Tap.objects.filter(system=line.system).order_by("name")[:LIMIT])


def checked(system: int, name: str, bus: str, settings: Mapping[str, str]) -> Checked:
    """Return what a look at a bus finds; a wrong setting is a line like any other trouble."""
    try:
        connector = tapping.unsaved(system, name, bus, settings)
        tapping.form(system, name, settings)
    except BadSettings as error:
        return Checked([Found("problem", str(error))])
    try:
        return connector.check()
    except TapError as error:
        return Checked([Found("problem", str(error))])
    finally:
        connector.close()


def newest_rejects(line: Line, *, limit: int) -> list[Reject]:
    """Return what could not become an event of a timeline, newest first."""
    rows = Reject.objects.filter(timeline=line.timeline).order_by("-pk")
    return list(rows[: min(limit, LIMIT)])


def count_rejects(line: Line, *, most: int) -> int:
    """Return how many rejects a timeline has; `most` stands for that many or more."""
    return Reject.objects.filter(timeline=line.timeline).order_by("pk")[:most].count()


def tap_named(line: Line, name: str) -> Tap | None:
    """Return a system's tap, None where it has none of that name."""
    return Tap.objects.filter(system=line.system, name=name).first()


def jsonable(tap: Tap, slug: str) -> dict[str, Any]:
    """Return a tap as programs read it; nothing secret of its settings."""
    return {
        "system": slug, "name": tap.name, "bus": tap.bus, "state": tap.state, "wanted": tap.wanted,
        "received": tap.received, "stored": tap.stored, "duplicates": tap.duplicates,
        "rejected": tap.rejected, "deliveries": tap.deliveries, "gaps": tap.gaps,
        "rate": tap.rate, "lag": tap.lag, "said": tap.said,
        "armed": armed(tap), "settings": _shown(tap),
    }  # fmt: skip


def _shown(tap: Tap) -> dict[str, str]:
    try:
        known = [*buses.connector_class(tap.bus).settings, *shaping.COMMON]
        return vault.shown(known, tapping.settings_of(tap))
    except BadSettings:
        return {}


def armed(tap: Tap) -> str:
    """Return words on a tap's costly recording: how long, and what it costs; "" without one."""
    try:
        connector = tapping.connector(tap, tapping.settings_of(tap))
    except BadSettings:
        return ""
    return str(connector.armed(tapping.cursor_of(tap))) if hasattr(connector, "armed") else ""


def promise(tap: Tap) -> dict[str, str]:
    """Return what a tap can promise; {} where its settings cannot be read."""
    try:
        found = tapping.connector(tap, tapping.settings_of(tap)).guarantee()
    except BadSettings:
        return {}
    return {"level": found.level, "words": found.words}
