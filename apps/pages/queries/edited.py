"""The edits of a recipe in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.pages.tiles import shown as service_name
from apps.pages.words import place, visible
from apps.sandbox.edits import Edit
from apps.sandbox.recording import report

ICONS = {"skip": "skip", "change": "edit", "insert": "insert", "move": "reorder", "repeat": "dup",
         "delay": "delay"}  # fmt: skip


class EditShown(NamedTuple):
    """One edit in words. `number` is its place in the recipe."""

    number: int
    on: bool
    icon: str
    verb: str
    words: str
    where: str


def edits_shown(line: Line, edits: Iterable[Edit]) -> list[EditShown]:
    """Return the edits of a recipe in words, with what they speak of."""
    edits = list(edits)
    found = {e.position: e for e in log.events_at(line, {e.position for e in edits if e.position})}
    causes = {e.cause for e in found.values() if e.kind == "delivery" and e.cause}
    found |= {e.position: e for e in log.events_at(line, causes)}
    return [
        EditShown(n, e.on, ICONS[e.op], *_words(e, found.get(e.position), found))
        for n, e in enumerate(edits)
    ]


def _words(edit: Edit, entry: Recorded | None, found: dict[int, Recorded]) -> tuple[str, str, str]:
    what, where = _named(entry, found)
    if edit.op == "insert":
        name = visible(str(edit.event.get("type", ""))[:80])
        return "Insert", name, f"after {place(edit.after)}"
    verbs = {"skip": "Skip", "change": "Edit", "move": "Move", "repeat": "Repeat", "delay": "Delay"}
    more = {
        "change": "payload of ", "move": "", "skip": "", "repeat": "", "delay": "",
    }[edit.op]  # fmt: skip
    after = f", to after {place(edit.after)}" if edit.op == "move" else ""
    by = f" by {edit.ms} ms" if edit.op == "delay" else ""
    return verbs[edit.op], f"{more}{what}{by}", f"{where}{after}"


def _named(entry: Recorded | None, found: dict[int, Recorded]) -> tuple[str, str]:
    if entry is None:
        return "an event", ""
    if entry.kind != "delivery":
        return visible(entry.type[:80]), place(entry.position)
    event = found.get(entry.cause or 0)
    name = visible(event.type[:80]) if event else "an event"
    where = place(event.position) if event else place(entry.position)
    return (
        f"delivery {report(entry).attempt} of {name}",
        f"{where} → {service_name(entry.source)}",
    )
