"""What is usual of traces of a kind, from the sums the reader keeps."""

from __future__ import annotations

import json
import time

from apps.eventlog.places import Line
from apps.traces import store
from apps.traces.queries.changes import digest
from apps.traces.typical import Typical, typical

KEPT_S = 5.0  # what is usual hardly changes while somebody looks
KEPT = 500  # kinds
MOST = 20_000  # sums of a kind that are read

_kept: dict[tuple[int, str], tuple[float, Typical]] = {}


def of_kind(line: Line, root_type: str) -> Typical:
    """Return the usual trace that begins with an event of this type, a few seconds old at most."""
    key = (line.timeline, root_type)
    kept = _kept.get(key)
    if kept is not None and time.monotonic() - kept[0] < KEPT_S and kept[1].enough:
        return kept[1]
    rows = store.fetch(
        "SELECT key, count FROM traces_figure WHERE timeline = %s AND kind = %s LIMIT %s",
        [line.timeline, digest(root_type), MOST],
    )
    made = typical(root_type, ((tuple(json.loads(text)), count) for text, count in rows))
    if len(_kept) >= KEPT:
        _kept.clear()
    _kept[key] = (time.monotonic(), made)
    return made
