"""What can go wrong with the log, by what the caller can do about it.

EventLogError
├── WrongRevision     read the stream again and retry
├── UnknownSystem     name another system
├── UnknownTimeline   name another timeline
├── LogUnavailable    the database cannot be written now: wait and retry
└── QueryError        the query's text is wrong: `column` says where
"""

from __future__ import annotations


class EventLogError(Exception):
    """Base of what the log raises."""

    code = "eventlog_error"


class WrongRevision(EventLogError):
    """A stream is not at the revision the writer last saw; nothing was written."""

    code = "wrong_revision"

    def __init__(self, *, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            f"Stream {stream!r} is at revision {actual}, not {expected}. Read it again and retry."
        )
        self.stream, self.expected, self.actual = stream, expected, actual


class UnknownSystem(EventLogError):
    """No system has this slug."""

    code = "unknown_system"

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"No system is called {slug!r}. `manage.py system list` shows those there are."
        )
        self.slug = slug


class UnknownTimeline(EventLogError):
    """The system has no such timeline."""

    code = "unknown_timeline"

    def __init__(self, system: str, timeline: int) -> None:
        super().__init__(f"System {system!r} has no timeline {timeline}.")


class LogUnavailable(EventLogError):
    """The database cannot be read or written now; nothing was stored. Wait and retry."""

    code = "unavailable"


class QueryError(EventLogError):
    """A query's text is wrong. `column` counts characters from 0, `length` how many."""

    code = "bad_query"
    parameter = "query"  # whose text it is, where a request has several

    def __init__(self, message: str, *, column: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.message, self.column, self.length = message, column, length
