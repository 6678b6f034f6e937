"""The comparison of a run, as it is answered and shown."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from apps.eventlog.envelope import Recorded, Undecodable, jsonable
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import exact
from apps.projections.diff import changes
from apps.projections.diff import jsonable as change_shape
from apps.sandbox.errors import NotNow
from apps.sandbox.links import tally
from apps.sandbox.models import REPLAYS, Run
from apps.sandbox.queries.forks import original

SHOWN = 1000  # differences in one answer
CHANGES = 50


class SoFar(NamedTuple):
    """What differs among the entries a run is past, of all kinds."""

    done: int
    changed: int
    missing: int
    new: int


def so_far(run: Run) -> SoFar | None:
    """Return what differs while a run goes on or rests; None before its first checkpoint."""
    if run.result is not None or not run.done or run.check_of not in REPLAYS:
        return None
    chunks = run.chunks.values_list("links", flat=True)
    each = [tally(zlib.decompress(bytes(raw))) for raw in chunks]
    replayed, changed, new = (
        (sum(column) for column in zip(*each, strict=True)) if each else (0,) * 3
    )
    return SoFar(run.done, changed, max(0, run.done - replayed), new)


def comparison(run: Run) -> dict[str, Any]:
    """Return a finished run's comparison in the shape of the JSON API.

    raises  NotNow while there is none
    """
    if run.result is None or run.comparison is None:
        raise NotNow(f"The run is {run.status}; it has no comparison yet.")
    kept = msgspec.json.decode(zlib.decompress(bytes(run.comparison)))
    pairs = kept["pairs"]
    rows = differences(run, pairs[:SHOWN])
    first = next((row for row in rows if row["verdict"] != "same"), None)
    numbers = {n: run.result[n] for n in ("same", "changed", "missing", "new", "unexpected")}
    return numbers | {
        "first_divergence": first, "events": rows, "complete": len(pairs) <= SHOWN,
        "states": [{"stream": stream, "changes": steps} for stream, steps in kept["states"]],
        "calls": run.result["calls"], "deliveries": run.result["deliveries"],
        "rules": run.result["rules"], "self_check": run.result["self"],
        "twice": run.result["twins"], "digest": run.result["digest"],
        "failures": run.result.get("failures", []),
        "folds": run.result.get("folds", []), "sends": run.result.get("sends", []),
        "shrunk": run.result.get("shrunk"), "shrunk_rows": run.result.get("shrunk_rows", []),
        "verdict": run.result["verdict"],
    }  # fmt: skip


def kept_states(run: Run) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return what differs at the end of a run, by entity."""
    if run.comparison is None:
        return []
    kept = msgspec.json.decode(zlib.decompress(bytes(run.comparison)))
    return [(stream, steps) for stream, steps in kept["states"]]


def pairs_of(run: Run) -> list[list[Any]]:
    """Return the pairs of a run that differ: verdict, recorded and sandbox position, two flags."""
    if run.comparison is None:
        return []
    found: list[list[Any]] = msgspec.json.decode(zlib.decompress(bytes(run.comparison)))["pairs"]
    return found


def differences(run: Run, pairs: Iterable[list[Any]]) -> list[dict[str, Any]]:
    """Return pairs with their events and what changed in them."""
    pairs = list(pairs)
    then = _events(original(run.fork), (p[1] for p in pairs))
    here = _events(log.line_of(run.timeline), (p[2] for p in pairs))
    return [_row(pair, then.get(pair[1]), here.get(pair[2])) for pair in pairs]


def _events(line: Line, positions: Iterable[int | None]) -> dict[int | None, Recorded]:
    found = log.events_at(line, {p for p in positions if p})
    return {e.position: e for e in found}


def _row(pair: list[Any], then: Recorded | None, here: Recorded | None) -> dict[str, Any]:
    verdict, _, _, unexpected, moved = pair
    return {
        "verdict": verdict, "original": jsonable(then) if then else None,
        "sandbox": jsonable(here) if here else None, "moved": moved, "unexpected": unexpected,
        "changes": changed(then, here) if verdict == "changed" and then and here else [],
    }  # fmt: skip


def changed(then: Recorded, here: Recorded) -> list[dict[str, Any]]:
    """Return what differs between the data of two events, as steps."""
    try:
        before = exact.decode(then.data or b"", then.content_type)
        after = exact.decode(here.data or b"", here.content_type)
    except Undecodable:
        return []
    return [change_shape(step) for step in changes(before, after)[:CHANGES]]
