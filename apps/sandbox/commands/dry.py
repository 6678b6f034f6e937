"""The dry run: what would be handed to copies outside, without connecting to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from apps.sandbox import cloudevent
from apps.sandbox.commands import looked
from apps.sandbox.commands.looked import grouped
from apps.sandbox.errors import BadRecipe
from apps.sandbox.making import task_event
from apps.sandbox.models import Run
from apps.sandbox.outcome import Task
from apps.sandbox.queries import recordings, targets
from apps.sandbox.queries.code import Hosts
from apps.sandbox.queries.forks import original
from apps.sandbox.queries.targets import Outside
from apps.sandbox.recording import Recording
from apps.sandbox.verdict import Figure

BODY = 4000  # letters of the example
ROWS = 500


def settle(run: Run, beat: Callable[[int], None]) -> None:
    """Keep what the recorded history has for the copies of a run.

    beat    called between the parts with how many entries are done; may raise to end it
    raises  BadRecipe, also where one must not be reached
    """
    begun = time.monotonic()
    wanted = targets.of(run.code)
    if not wanted:
        raise BadRecipe("No service runs outside in this recipe, so nothing would be sent.")
    line = original(run.fork)
    hosts = Hosts(run.code, Outside(line, lambda: None))
    try:
        beat(0)
        recording = recordings.recording(
            line, base=run.fork.base, until=run.fork.until, handlers=hosts.handlers
        )
    finally:
        hosts.close()
    beat(run.total)
    looked.keep(run, result(_rows(recording, wanted), wanted), begun)


def _rows(recording: Recording, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what would be sent by service and type, with the first of each in full."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for x in recording.executions:
        event = recording.at(x.cause)
        if x.service not in wanted or event is None:
            continue
        body = cloudevent.written(Task(x.service, task_event(event), x.attempt, x.started), None)
        row = rows.setdefault((x.service, event.type), {
            "service": x.service, "to": targets.place(wanted[x.service]), "type": event.type,
            "count": 0, "bytes": 0, "position": x.cause, "first": body.decode()[:BODY],
        })  # fmt: skip
        row["count"] += 1
        row["bytes"] += len(body)
    return sorted(rows.values(), key=lambda row: (row["service"], -row["count"], row["type"]))


def result(rows: list[dict[str, Any]], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a dry run."""
    count, size = (sum(row[name] for row in rows) for name in ("count", "bytes"))
    many = "1 event" if count == 1 else f"{grouped(count)} events"
    places = ", ".join(targets.place(choice) for choice in wanted.values())
    text = f"A run hands {many} of {grouped(size)} bytes to {places}, edits apart."
    figures = [Figure("Events", grouped(count)), Figure("Bytes", grouped(size))]
    return looked.result("Nothing was sent.", text, figures, rows, sends=rows[:ROWS])
