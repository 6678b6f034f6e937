"""What waits for the writer, and what it answers: plain values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest.problems import Problem

KEPT_OF_A_REJECT = 65_536  # bytes
EVENT_COST = 256  # bytes an envelope takes beside its data, roughly


class Rejected(msgspec.Struct, frozen=True):
    """A line that is no event, to be kept."""

    origin: str
    line: int  # from 1
    code: str
    detail: str
    size: int
    data: bytes  # its beginning
    content_type: str = ""


class Stored(msgspec.Struct, frozen=True):
    """What became of a job's envelopes: `positions[i]` is None for one that could not be stored."""

    head: int
    positions: list[int | None]
    stored: int
    duplicates: int
    conflicts: dict[int, int]  # index -> position of the earlier event with other content
    problems: list[Problem]


class Job:
    """Events of one request that are stored together, with the rejects found among them.

    `done` is called once with what was stored or why nothing was: on `loop`, or on the writer's
    thread where there is none.
    """

    __slots__ = ("answered", "done", "envelopes", "events", "loop", "rejects", "size", "timeline")

    def __init__(
        self,
        timeline: int,
        envelopes: Sequence[Envelope],
        done: Callable[[Stored | Exception], None],
        rejects: Sequence[Rejected] = (),
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.timeline, self.envelopes, self.done = timeline, envelopes, done
        self.rejects, self.loop = rejects, loop
        self.events = len(envelopes) + len(rejects)  # how many rows it writes, roughly
        self.size = EVENT_COST * self.events
        for e in envelopes:
            self.size += len(e.data) + len(e.metadata)
        for reject in rejects:
            self.size += len(reject.data)
        self.answered = False


def rejected(
    raw: bytes,
    problem: Problem,
    *,
    origin: str,
    line: int,
    size: int = 0,
    content_type: str = "",
    keep: int = KEPT_OF_A_REJECT,
) -> Rejected:
    """Return a line to be kept; `size` where more came than `raw` holds."""
    return Rejected(
        _storable(origin)[:255], line, problem.code, _storable(problem.detail)[:2000],
        size or len(raw), raw[:keep], _storable(content_type)[:255],
    )  # fmt: skip


def _storable(text: str) -> str:
    """Return `text` with what PostgreSQL cannot hold made visible."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
