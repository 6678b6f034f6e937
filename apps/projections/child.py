"""The child process that imports somebody's modules and runs their reducers.

    python -I child.py IN OUT NOW PATH… -- MODULE…

See `jail`, which starts it, and `frames` for what it is told. What the modules print goes nowhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
import types
from typing import Any

if __name__ == "__main__":  # -I leaves only the standard library and its site-packages
    sys.path[:0] = sys.argv[4 : sys.argv.index("--")]
    # The SDK alone: the package itself would bring Celery and Django along.
    sys.modules["evdebug"] = types.ModuleType("evdebug")
    sys.modules["evdebug"].__path__ = [os.path.join(sys.argv[4], "evdebug")]

import msgspec

from apps.projections import blame, fold
from apps.projections.confine import confine
from apps.projections.exact import MISSING
from apps.projections.fingerprints import fingerprint
from apps.projections.frames import Parent, paths
from evdebug.sdk import registry
from evdebug.sdk.events import Event


def main() -> None:
    """Import the modules, say what they hold, and answer requests until the pipe ends."""
    parent = Parent(sys.argv[1:])
    folders, modules = paths()
    folders = [*folders[1:], folders[0]]
    held = confine(parent.receive()["readable"])
    stand_back(folders)
    parent.send(described(modules, folders, held))
    while (request := parent.receive()) is not None:
        parent.send(answer(request, parent))


def stand_back(folders: list[str]) -> None:
    """Make room for modules that are called as ours are: theirs come first, ours stay with us."""
    sys.path[: len(folders)] = folders
    for name in [name for name in sys.modules if name.split(".")[0] == "apps"]:
        del sys.modules[name]


def described(modules: list[str], folders: list[str], held: dict[str, bool]) -> dict[str, Any]:
    """Import the modules and return what they hold, or why they cannot be imported.

    `watched` are the files that would change that: also those there are not yet.
    """
    before = set(sys.modules)
    error, more = "", candidates(modules, folders)
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as wrong:  # SystemExit and the like are theirs, too
            steps = traceback.extract_tb(wrong.__traceback__)
            place = f" (line {steps[-1].lineno} of {steps[-1].filename})" if steps else ""
            error = f"{name} cannot be imported: {fold.explained(wrong)}{place}"
            more += [step.filename for step in steps if os.path.isabs(step.filename)]
            break
    files = _files(before)
    return {
        "error": error, "held": held, "watched": sorted({*files, *more}), "files": sorted(files),
        "reducers": [_shape(r, files) for r in registry.REDUCERS.values()],
        "upcasts": [list(key) for key in registry.UPCASTS],
    }  # fmt: skip


def candidates(modules: list[str], folders: list[str]) -> list[str]:
    """Return where the modules' own files are, or would be looked for first."""
    found = []
    for name in modules:
        for folder in folders:
            base = os.path.join(folder, *name.split("."))
            there = [
                p for p in (base + ".py", os.path.join(base, "__init__.py")) if os.path.exists(p)
            ]
            found += there or [base + ".py"]
            if there:
                break
    return found


def _files(before: set[str]) -> dict[str, bytes]:
    """Return the source files the modules brought along, with their contents."""
    found = {}
    prefixes = (sys.prefix, sys.base_prefix)
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None)
        if path and path.endswith(".py") and not path.startswith(prefixes):
            with open(path, "rb") as source:
                found[path] = source.read()
    return found


def _shape(reducer: registry.Reducer, files: dict[str, bytes]) -> dict[str, Any]:
    by = "stream" if reducer.key is registry.BY_STREAM else "key" if reducer.key else "all"
    return {
        "name": reducer.name, "streams": reducer.streams, "version": reducer.version, "by": by,
        "kinds": reducer.kinds, "fingerprint": fingerprint(reducer.name, reducer.version, files),
    }  # fmt: skip


def answer(request: dict[str, Any], parent: Parent) -> dict[str, Any]:
    """Fold a batch of events over a state and return where that leads.

    request   reducer, key (of the entity, None for all), position, state (JSON text, null for
              none), marks (a row, null when not wanted), events, every (return each state, too)
    """
    if "upcast" in request:
        return upcast(request["upcast"], parent)
    if "keys" in request:
        return {"keys": [key_of(request["keys"], each, parent) for each in request["events"]]}
    reducer = registry.REDUCERS[request["reducer"]]
    raw: bytes | None = request["state"].encode() if request["state"] is not None else None
    position = request["position"]
    tracking = request["marks"] is not None
    state = MISSING if raw is None else msgspec.json.decode(raw)
    marks = blame.unrow(state, iter(request["marks"])) if tracking else MISSING
    points, error, broken, taken = [], "", None, 0
    for each in request["events"]:
        parent.at(each["position"])
        try:
            event = Event(**each)
            event.version, event.data = registry.upcasted(event.type, event.version, event.data)
            if callable(reducer.key) and reducer.key(event) != request["key"]:
                continue
            given = None if raw is None else msgspec.json.decode(raw)
            result = reducer.call(given, event)
            raw = b"null" if result is registry.DELETED else fold.taken(result)
        except Exception as wrong:
            error, broken = fold.explained(wrong), each["position"]
            break
        taken += 1
        position = each["position"]
        if tracking:
            after = msgspec.json.decode(raw)
            marks = blame.renewed(state, marks, after, position)
            state = after
        if request["every"]:
            points.append([position, raw.decode()])
    return {
        "position": position, "state": None if raw is None else raw.decode(), "error": error,
        "broken": broken, "taken": taken, "points": points,
        "marks": blame.row(state, marks) if tracking else None,
    }  # fmt: skip


def upcast(fields: dict[str, Any], parent: Parent) -> dict[str, Any]:
    """Return what an event's data becomes before a reducer sees it."""
    parent.at(fields["position"])
    event = Event(**fields)
    try:
        version, data = registry.upcasted(event.type, event.version, event.data)
        return {"version": version, "data": fold.taken(data).decode(), "error": ""}
    except Exception as wrong:
        return {"version": event.version, "data": "null", "error": fold.explained(wrong)}


def key_of(name: str, fields: dict[str, Any], parent: Parent) -> tuple[str | None, str]:
    """Return (the entity an event belongs to, why there is none); None leaves the event out."""
    parent.at(fields["position"])
    try:
        event = Event(**fields)
        event.version, event.data = registry.upcasted(event.type, event.version, event.data)
        key = registry.REDUCERS[name].key(event)
    except Exception as wrong:
        return None, fold.explained(wrong)
    return (key if isinstance(key, str) else None), ""


if __name__ == "__main__":
    main()
