"""Whether the code does again what it did: the run that changes nothing, before the one that does.

What comes out otherwise depends on something that is not recorded, or was made by other code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from apps.sandbox.commands.prepare import Prepared
from apps.sandbox.emissions import Stopped
from apps.sandbox.engine import Engine
from apps.sandbox.models import Run
from apps.sandbox.queries.code import RECORDED, Hosts
from apps.sandbox.recording import service_of

KEPT = 20  # differences that are kept with their places
BEAT_S = 1.0


def self_check(prepared: Prepared, *, beat: Callable[[], Any]) -> dict[str, Any] | None:
    """Return what a run without edits comes to; None where the run is itself one.

    The same code over the same stretch is not run again.
    """
    run = prepared.run
    if not prepared.engine.plan or not prepared.hosts.handlers:
        return None
    recorded = {name: choice for name, choice in run.code.items() if choice == RECORDED}
    hosts = Hosts(recorded) if prepared.hosts.other else prepared.hosts
    try:
        if not hosts.handlers:
            return None
        key = "/".join([*hosts.fingerprints, *sorted(recorded)])
        if known := _known(run, key):
            return known
        engine = prepared.make(bare=True, hosts=hosts)
        return {"key": key, **_differences(engine, beat)}
    finally:
        if hosts is not prepared.hosts:
            hosts.close()


def _known(run: Run, key: str) -> dict[str, Any] | None:
    for result in run.fork.runs.exclude(result=None).values_list("result", flat=True)[:20]:
        found: dict[str, Any] | None = (result or {}).get("self")
        if found and found.get("key") == key:
            return found
    return None


def _differences(engine: Engine, beat: Callable[[], Any]) -> dict[str, Any]:
    places: list[dict[str, Any]] = []
    same = differ = 0
    last = time.monotonic()
    try:
        for emission in engine.run():
            if time.monotonic() - last > BEAT_S:
                beat()
                last = time.monotonic()
            if not emission.differs:
                same += 1
                continue
            differ += 1
            made = emission.envelope
            position = emission.ref if emission.ref > 0 else None
            places.append({"position": position, "type": made.type, "kind": made.kind,
                           "service": service_of(made.source)})  # fmt: skip
    except Stopped as stopped:
        return {"same": same, "different": max(1, differ), "places": places[:KEPT],
                "stopped": stopped.text}  # fmt: skip
    for position in sorted(engine.gone):
        entry = engine.recording.entries[position]
        places.append({"position": position, "type": entry.type, "kind": entry.kind,
                       "service": service_of(entry.source), "missing": True})  # fmt: skip
    return {"same": same, "different": differ + len(engine.gone), "places": places[:KEPT]}
