"""An event without its bulk: what readers that walk millions of them look at."""

from __future__ import annotations

from typing import NamedTuple


class Outline(NamedTuple):
    """One event in outline. Times are microseconds since 1970 UTC."""

    position: int
    kind: str
    type: str
    source: str
    time: int
    cause: int | None = None  # position of the causing event, None while it is not in the log
    correlation: int | None = None  # number of the correlation id
    stream: int | None = None  # number of the stream
    revision: int | None = None
    lost: bool = False  # names a cause that is not in the log
    data: bytes | None = None  # of deliveries and spans alone
    spanned: bool = False  # made of a span
