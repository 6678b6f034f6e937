"""Walking the log for a command, page by page in order."""

from __future__ import annotations

from collections.abc import Iterator

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log, search

REMEMBERED = 100_000  # positions


def pages(line: Line, query: str, *, after: int, upto: int) -> Iterator[list[Recorded]]:
    """Yield the matches with after < position <= upto, in order, in pages that are not empty.

    raises  QueryError
    """
    while True:  # once at least: a query that is wrong is wrong for an empty log too
        page = search.search(
            line, query, after=after, before=upto + 1, limit=search.LIMIT, ascending=True
        )
        if page.events:
            yield page.events
        if page.next is None or page.next >= upto:
            return
        after = page.next


class Sources:
    """The sources of causes: an id alone does not name an event for another log."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: dict[int, str] = {}

    def learn(self, events: list[Recorded]) -> None:
        """Remember these events' sources, and look up those of causes that went before."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= {event.position: event.source for event in events}
        missing = {e.cause for e in events if e.cause is not None} - set(self._known)
        for cause in log.events_at(self._line, missing):
            self._known[cause.position] = cause.source

    def of(self, event: Recorded) -> str:
        """Return the source of an event's cause, "" where there is none."""
        return "" if event.cause is None else self._known.get(event.cause, "")
