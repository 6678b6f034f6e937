"""What can go wrong with states, by what the caller can do about it.

EventLogError
├── UnknownStream       name another stream: the timeline never has this one
├── UnknownProjection   name another projection
├── BrokenCode          mend the modules named in EVDEBUG_CODE
├── BadCode             mend what was typed: `line` says where
└── QueryError
    └── BadExpression   the expression is wrong: `column` says where
"""

from __future__ import annotations

from apps.eventlog.errors import EventLogError, QueryError
from apps.projections.grammar import ExpressionError


class UnknownStream(EventLogError):
    """The timeline never has a stream of this name."""

    code = "unknown_stream"

    def __init__(self, slug: str, stream: str) -> None:
        super().__init__(f"{slug!r} has no stream {stream[:200]!r}.")


class StillFolding(EventLogError):
    """A state was not known in the time there was; what was folded so far is kept.

    began, position  where the fold began, and how far it has come
    """

    code = "still_folding"

    def __init__(self, began: int, position: int) -> None:
        super().__init__(f"The state is folded up to #{position}; ask again.")
        self.began, self.position = began, position


class UnknownProjection(EventLogError):
    """No projection has this name, or it does not take this stream."""

    code = "unknown_projection"

    def __init__(self, name: str, known: list[str]) -> None:
        there = ", ".join(known) or "none"
        super().__init__(f"No projection is called {name[:200]!r}. There are: {there}.")


class BrokenCode(EventLogError):
    """A module of EVDEBUG_CODE cannot be run; the message says which and why."""

    code = "broken_code"


class BadCode(EventLogError):
    """Code that was typed cannot be kept. `line` counts from 1, 0 when none is to blame."""

    code = "bad_code"

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(f"{message} (line {line})" if line else message)
        self.line = line


class BadExpression(QueryError):
    """An expression is wrong, or cannot be worked out."""

    code = "bad_expression"

    @classmethod
    def of(cls, error: ExpressionError) -> BadExpression:
        """Return the same error as one of the log's."""
        made = cls(error.message, column=error.column, length=error.length)
        made.parameter = "expr"
        return made
