"""Finding digests in the full runs of a timeline: the filters first, then the few chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.eventlog import seen, store


def in_runs(
    timeline: int,
    filters: seen.Filters,
    asked: Sequence[int],
    digests: Sequence[int],
    *,
    checks: Sequence[int] | None = None,
) -> dict[int, list[int]]:
    """Return {index: positions, oldest first} for what the full runs hold.

    asked    what the filters were made of: id digests, or identity digests
    digests  the id digest of each, by which the chunks are ordered
    checks   the identity digests, to leave out the same id of another source
    """
    hits = list(filters.candidates(np.array(asked, dtype=np.uint64)))
    if not hits:
        return {}
    keys = {(timeline << 24 | run) << 8 | digests[index] >> 56 for index, run in hits}
    held: dict[int, bytes] = {}
    for clause, values in store.among(keys):
        sql = f"SELECT chunk, entries FROM eventlog_seenchunk WHERE chunk {clause}"
        held.update((key, bytes(entries)) for key, entries in store.fetch(sql, values))
    found: dict[int, list[int]] = {}
    for index, run in hits:
        digest = digests[index]
        chunk = held.get((timeline << 24 | run) << 8 | digest >> 56, b"")
        check = checks[index] if checks is not None else None
        for offset in seen.find(chunk, digest, check=check):
            found.setdefault(index, []).append(run * seen.RUN + 1 + offset)
    return found
