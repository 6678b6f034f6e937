"""Repeated strings: before a batch is written, every lane, stream and correlation has its id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from apps.eventlog import store
from apps.eventlog.commands import remember
from apps.eventlog.envelope import FAILURES, Envelope
from apps.eventlog.memory import Lane, Memory

if TYPE_CHECKING:
    from apps.eventlog.commands.append import Row


def prepare(
    row: Row, memory: Memory, envelopes: Sequence[Envelope], expected: Mapping[str, int]
) -> list[int]:
    """Look up, and where they are new add, all names of a batch, and the streams' revisions.

    returns  the lane of each envelope
    """
    lanes: list[Lane] = [
        (e.kind, e.type, e.source, e.channel, e.tap, e.content_type) for e in envelopes
    ]
    # `difference`, not "- keys()", which would walk all the names that are known.
    if fresh := set(lanes).difference(memory.lanes):
        _lanes(row.system, memory, fresh)
    streams = {e.stream for e in envelopes}
    streams.discard("")
    # The bound holds between batches; a batch's own names are never thrown out under it.
    if unknown := streams.difference(memory.streams):
        _streams(row, memory, unknown)
    if asked := set(expected).difference(memory.streams):
        memory.streams |= (found := store.names_to_ids("stream", row.system, asked))
        _revisions(row, memory, list(found.values()))
    correlations = {e.correlation for e in envelopes}
    correlations.discard("")
    if unknown := correlations.difference(memory.correlations):
        memory.correlations |= store.ensure_names("correlation", row.system, unknown)[0]
    known = memory.lanes
    return [known[lane] for lane in lanes]


def _streams(row: Row, memory: Memory, unknown: set[str]) -> None:
    found, held = store.ensure_names("stream", row.system, unknown)
    _revisions(row, memory, [found[name] for name in held])
    memory.streams |= found


def _revisions(row: Row, memory: Memory, streams: list[int]) -> None:
    """Look up the last revision of streams, newest segment first."""
    rest = streams
    for part in reversed(remember.segments(row)):
        if rest:
            memory.revisions |= store.last_revisions(rest, part.low, part.high)
            rest = [stream for stream in rest if stream not in memory.revisions]


def digest(lane: Lane) -> str:
    """Return what makes a lane unique in its system."""
    parts = b"".join(len(text := part.encode()).to_bytes(4, "big") + text for part in lane)
    return hashlib.blake2b(parts, digest_size=16).hexdigest()


def _lanes(system: int, memory: Memory, fresh: set[Lane]) -> None:
    by_digest = {digest(lane): lane for lane in sorted(fresh)}
    store.execute_many(
        "INSERT INTO eventlog_lane"
        " (system_id, digest, kind, type, source, channel, tap, content_type)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [(system, key, *lane) for key, lane in by_digest.items()],
    )
    for clause, values in store.among(by_digest):
        sql = f"SELECT digest, id FROM eventlog_lane WHERE system_id = %s AND digest {clause}"
        for key, lane in store.fetch(sql, [system, *values]):
            know(memory, lane, by_digest[key])


def know(memory: Memory, lane: int, strings: Lane) -> None:
    """Remember a lane."""
    memory.lanes[strings] = lane
    memory.strings[lane] = strings
    if strings[0] == "delivery" and strings[1] in FAILURES:
        memory.failures.add(lane)
