"""What can be wrong with what producers send, by how much of it is refused.

Problem   a value: one event of a request cannot be stored, its neighbours can
Invalid   the same while it is on its way up to where the index is known
Refused   the whole request is answered with `status`, and nothing of it is stored
"""

from __future__ import annotations

import msgspec

SHOWN = 80  # characters of a foreign value that a message quotes


class Problem(msgspec.Struct, frozen=True):
    """Why the event at `index` (from 0) of a request was not stored."""

    index: int
    code: str
    detail: str


class Invalid(ValueError):
    """One event cannot be stored as it is."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail

    def at(self, index: int) -> Problem:
        """Return this as the problem of the event at `index`."""
        return Problem(index, self.code, self.detail)


class Refused(Exception):
    """The request cannot be taken; `retry_after` seconds where it can be later."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.retry_after, self.allow = retry_after, allow


def shown(value: object) -> str:
    """Return a foreign value as text for a message: escaped, and cut where it is long."""
    text = value if isinstance(value, str) else str(value)
    quoted = ascii(text[:SHOWN])
    return f"{quoted}…" if len(text) > SHOWN else quoted
