"""From when on a page counts: the whole recording, the last while, or a named moment."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.pages import words
from apps.pages.queries.bookmarks import bookmarks

LAST = {"10min": ("the last 10 minutes", 10 * words.MINUTE), "hour": ("the last hour", words.HOUR),
        "day": ("the last day", words.DAY)}  # fmt: skip
NAMED = 20  # bookmarks that are offered, the newest


class Since(NamedTuple):
    """A choice: its word in the address, what it is called, and the position it counts after."""

    word: str
    title: str
    position: int


def choices(line: Line, *, at: int, now: int, user_id: int | None) -> list[Since]:
    """Return the choices there are at a position, whose moment is `now`, the widest first."""
    marks = [m for m in bookmarks(line, user_id=user_id) if m.position < at][-NAMED:]
    first = log.time_at(line, 1)
    whole = f"{words.clock(first)[:5]}, the whole recording" if first else "the whole recording"
    return [
        Since("", whole, 0),
        *(Since(word, title, log.position_at(line, now - span))
          for word, (title, span) in reversed(LAST.items())),
        *(Since(str(m.position), m.name, m.position) for m in reversed(marks)),
    ]  # fmt: skip


def chosen(line: Line, word: str, offered: list[Since], *, at: int) -> Since:
    """Return what an address asks for; a position may also be one that is not offered."""
    found = next((each for each in offered if each.word == word), None)
    if found is None and word.isdecimal() and len(word) < 19 and 0 < int(word) < at:
        return Since(word, words.place(int(word)), int(word))
    return found or offered[0]
