"""The child process that imports somebody's modules and runs their reducers.

    python -I child.py IN OUT NOW PATH… -- MODULE…

IN and OUT are pipes with frames of JSON, each after its length in four bytes. NOW is a file of
eight bytes in which the position of the event at hand stands, so that whoever ends a reducer that
never returns knows where it was. What the modules print goes nowhere.
"""

from __future__ import annotations

import hashlib
import importlib
import mmap
import os
import struct
import sys
import traceback
import types
from typing import Any, BinaryIO

if __name__ == "__main__":  # -I leaves only the standard library and its site-packages
    sys.path[:0] = sys.argv[4 : sys.argv.index("--")]
    # The SDK alone: the package itself would bring Celery and Django along.
    sys.modules["evdebug"] = types.ModuleType("evdebug")
    sys.modules["evdebug"].__path__ = [os.path.join(sys.argv[4], "evdebug")]

import msgspec

from apps.projections import blame, fold
from apps.projections.exact import MISSING
from evdebug.sdk import registry
from evdebug.sdk.events import Event

POSITION = struct.Struct("<q")
LENGTH = struct.Struct("<I")


def main() -> None:
    """Import the modules, say what they hold, and answer requests until the pipe ends."""
    fd_in, fd_out, fd_now = map(int, sys.argv[1:4])
    modules = sys.argv[sys.argv.index("--") + 1 :]
    reading, writing = os.fdopen(fd_in, "rb"), os.fdopen(fd_out, "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    now = mmap.mmap(fd_now, POSITION.size)
    from apps.projections.confine import confine

    held = confine()
    send(writing, described(modules, held))
    while (request := receive(reading)) is not None:
        send(writing, answer(request, now))


def send(pipe: BinaryIO, value: Any) -> None:
    """Write one frame."""
    raw = msgspec.json.encode(value)
    pipe.write(LENGTH.pack(len(raw)) + raw)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Read one frame; None at the end."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return msgspec.json.decode(pipe.read(LENGTH.unpack(head)[0]))


def described(modules: list[str], held: dict[str, bool]) -> dict[str, Any]:
    """Import the modules and return what they hold, or why they cannot be imported."""
    before = set(sys.modules)
    error = ""
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as wrong:  # SystemExit and the like are theirs, too
            where = traceback.extract_tb(wrong.__traceback__)[-1:]
            place = f" (line {where[0].lineno} of {where[0].filename})" if where else ""
            error = f"{name} cannot be imported: {fold.explained(wrong)}{place}"
            break
    files = _files(before)
    return {
        "error": error, "held": held, "files": sorted(files),
        "reducers": [_shape(r, files) for r in registry.REDUCERS.values()],
        "upcasts": [list(key) for key in registry.UPCASTS],
    }  # fmt: skip


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
    digest = hashlib.sha256(f"{reducer.name}/{reducer.version}".encode())
    for path in sorted(files):
        digest.update(files[path])
    by = "stream" if reducer.key is registry.BY_STREAM else "key" if reducer.key else "all"
    return {
        "name": reducer.name, "streams": reducer.streams, "version": reducer.version, "by": by,
        "kinds": reducer.kinds, "fingerprint": f"{reducer.name}@{digest.hexdigest()[:12]}",
    }  # fmt: skip


def answer(request: dict[str, Any], now: mmap.mmap) -> dict[str, Any]:
    """Fold a batch of events over a state and return where that leads.

    request   reducer, key (of the entity, None for all), position, state (JSON text, null for
              none), marks (a row, null when not wanted), events, every (return each state, too)
    """
    reducer = registry.REDUCERS[request["reducer"]]
    raw: bytes | None = request["state"].encode() if request["state"] is not None else None
    position = request["position"]
    tracking = request["marks"] is not None
    state = MISSING if raw is None else msgspec.json.decode(raw)
    marks = blame.unrow(state, iter(request["marks"])) if tracking else MISSING
    points, error, broken, taken = [], "", None, 0
    for each in request["events"]:
        now[: POSITION.size] = POSITION.pack(each["position"])
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


if __name__ == "__main__":
    main()
