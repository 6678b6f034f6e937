"""How far a fold is that takes longer than a page waits."""

from __future__ import annotations

import time
from typing import Any

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.projections.errors import StillFolding
from apps.projections.queries.coded import Tell

PATIENCE_S = 0.2  # a fold that takes longer shows how far it is
AGAIN_S = 0.6  # and again


def patient(began: int | None) -> Tell:
    """Return what stops a fold that takes long.

    began  where the fold before it began: one that begins no further on is not stopped, for a
           state whose snapshots do not pay would never be shown
    """
    deadline = time.perf_counter() + (PATIENCE_S if began is None else AGAIN_S)
    before = -1 if began is None else began
    return lambda start, position: start <= before or time.perf_counter() < deadline


def progress(line: Line, stream: str, stopped: StillFolding, *, at: int) -> dict[str, Any]:
    """Return what the page says of a fold that was stopped.

    Of a stream its events are counted; of a read model, which has none, those of all.
    """
    folded, every = stopped.position, at
    number = facts.number(line, stream)
    if number is not None:
        folded, every = (
            facts.revisions(line, [number], upto=position).get(number, 0)
            for position in (stopped.position, at)
        )
    share = f"{folded / max(1, every):.0%}"
    return {"folding": stopped, "folded": folded, "all": every, "percent": share}
