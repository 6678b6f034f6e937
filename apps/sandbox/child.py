"""The child process that imports somebody's modules and runs their handlers.

    python -I child.py IN OUT NOW PATH… -- MODULE…

It says what handlers there are; then, for each task, it asks for states and answers until it is
done. See `apps.projections.jail`, which starts it. What the modules print goes nowhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
import types
from typing import Any

if __name__ == "__main__":  # -I leaves only the standard library and its site-packages
    sys.path[:0] = sys.argv[4 : sys.argv.index("--")]
    # The SDK alone: the package itself is not needed.
    sys.modules["evdebug"] = types.ModuleType("evdebug")
    sys.modules["evdebug"].__path__ = [os.path.join(sys.argv[4], "evdebug")]

import msgspec

from apps.projections import fold
from apps.projections.confine import confine
from apps.projections.frames import Parent, paths
from apps.sandbox import frozen, handling
from apps.sandbox.answers import Answer, key_of
from apps.sandbox.outcome import Outcome, Task
from apps.sandbox.rewriting import NotTyped, rewritten
from evdebug.sdk.handlers import Handler, Subscription, subscriptions

SOURCE = 100_000  # letters of one service that are told
TYPED = "typed_code"  # the module whose source was typed
Handlers = dict[tuple[str, str], Handler]


def main() -> None:
    """Import the modules, say what they handle, and run handlers until the pipe ends."""
    parent = Parent(sys.argv[1:])
    _, modules = paths()
    asked = parent.receive()
    if asked["first"]:  # what we need of our own is imported by now
        sys.path.insert(0, asked["first"])
        importlib.util.find_spec("_")  # lists the folder, as it cannot be listed any more later
    held = confine(asked["readable"], who="A handler")
    frozen.freeze()
    parent.send({"held": held})
    handlers, told = loaded(modules, parent.receive()["source"])
    parent.send(told)
    while (request := parent.receive()) is not None:
        asking = Asking(parent, msgspec.convert(request, Given))
        asking.tell({"done": shown(ran(asking.given.task, handlers, asking))})


def loaded(modules: list[str], source: str | None) -> tuple[Handlers, dict[str, Any]]:
    """Import the modules, and the source that was typed, and return their handlers."""
    before, error = set(sys.modules), ""
    found: list[tuple[str, Subscription]] = []
    name = ""
    try:
        for name in modules:
            importlib.import_module(name)
            found += [(name, each) for module in _parts(name) for each in subscriptions(module)]
        if source is not None:
            name, typed = "The code", types.ModuleType(TYPED)
            sys.modules[TYPED] = typed
            exec(compile(source, TYPED, "exec"), typed.__dict__)  # noqa: S102 - what this is for
            found += [(TYPED, each) for each in subscriptions(typed)]
    except BaseException as wrong:  # SystemExit and the like are theirs, too
        error = f"{name} cannot be used: {fold.explained(wrong)}{_place(wrong)}"
    handlers: Handlers = {(each.service, each.type): each.handler for _, each in found}
    files = _files(before)
    sources = _sources(found)
    digest = hashlib.sha256((source or "").encode())
    for path in sorted(files):
        digest.update(files[path])
    return handlers, {
        "error": error, "handlers": sorted(map(list, handlers)), "watched": sorted(files),
        "fingerprint": digest.hexdigest()[:12], "sources": sources,
    }  # fmt: skip


def _sources(found: list[tuple[str, Subscription]]) -> dict[str, str]:
    """Return for each service a text to begin with where its handlers are to be changed.

    That is its module, where the interpreter can run it, else its handlers alone.
    """
    parts: dict[str, list[str]] = {}
    whole: dict[str, str] = {}
    for _, each in found:
        try:
            text = inspect.getsource(each.handler)
            whole.setdefault(each.service, _whole(each.handler.__module__, each.service, found))
        except (OSError, TypeError, KeyError):
            continue
        begins = f"from {each.handler.__module__} import *\n"
        lines = parts.setdefault(each.service, [])
        if begins not in lines:
            lines.insert(0, begins)
        if text not in lines:
            lines.append(text)
    return {
        service: whole.get(service) or "\n\n".join(texts)[:SOURCE]
        for service, texts in parts.items()
    }


def _whole(module: str, service: str, found: list[tuple[str, Subscription]]) -> str:
    """Return the source of a module, "" where it is not all of its service, or not to be typed."""
    if any(each.service == service and each.handler.__module__ != module for _, each in found):
        return ""
    text = inspect.getsource(sys.modules[module])
    try:
        rewritten(text)
    except NotTyped:
        return ""
    return text


def _parts(name: str) -> list[types.ModuleType]:
    """Return a module and, of a package, what it brought along of its own."""
    below = [n for n in sys.modules if n.startswith(name + ".")]
    return [sys.modules[n] for n in (name, *sorted(below))]


def _place(wrong: BaseException) -> str:
    if isinstance(wrong, SyntaxError) and wrong.lineno:
        return f" (line {wrong.lineno})"
    steps = traceback.extract_tb(wrong.__traceback__)
    return f" (line {steps[-1].lineno} of {steps[-1].filename})" if steps else ""


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


Calls = list[tuple[str, str, Answer]]  # name, request as JSON, answer; each is used once


class Given(msgspec.Struct):
    """A task with what its handler is likely to ask for."""

    task: Task
    states: dict[str, str]
    calls: Calls


class Told(msgspec.Struct):
    """The answer to a call, and those to the calls that may come after it."""

    answer: Answer | None
    calls: Calls


class Asking:
    """The world: what was given beforehand, and the rest as it is asked for through the pipe."""

    def __init__(self, parent: Parent, given: Given) -> None:
        self.parent, self.given = parent, given
        self.asked: dict[str, Any] | None = None
        self.taken: list[int] = []  # of the calls given, since the parent was last told
        self._give(given.calls)

    def _give(self, calls: Calls) -> None:
        self._calls, self._left = calls, list(range(len(calls)))

    def state(self, stream: str) -> bytes:
        """Return a stream's state as JSON."""
        known = self.given.states.get(stream)
        if known is None:
            self.tell({"state": str(stream)})
            known = self.given.states[stream] = str(self.parent.receive()["state"])
        return known.encode()

    def call(self, name: str, request: Any) -> Answer | None:
        """Return the answer of the outside, None where there is none."""
        key = key_of(name, request)
        for n in self._left:
            known, asked, answer = self._calls[n]
            if (known, asked.encode()) == key:
                self._left.remove(n)
                self.taken.append(n)
                return answer
        self.tell({"call": name, "request": request})
        told = msgspec.convert(self.parent.receive(), Told)
        self._give(told.calls)
        if told.answer is None:
            self.asked = {"call": name, "request": request}
        return told.answer

    def expected(self) -> list[tuple[str, str, Answer]]:
        """Return nothing: what may be asked was given."""
        return []

    def tell(self, value: dict[str, Any]) -> None:
        """Say something to the parent, with the answers that were taken by then."""
        self.parent.send(value | {"taken": self.taken})
        self.taken = []


def ran(task: Task, handlers: Handlers, world: Asking) -> Outcome:
    """Run the handler of a task with everything frozen."""
    handler = handlers.get((task.service, task.event["type"]))
    if handler is None:
        return Outcome("failed", f"{task.service} has no handler for {task.event['type']}.")
    clock = {"at": task.clock}
    frozen.begin(lambda: clock["at"], f"{task.event['id']}/{task.service}/{task.attempt}")
    return handling.run(handler, task, world, moved=lambda at: clock.update(at=at))


def shown(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as its parent reads it; data stays the text it was written as."""
    said = [
        (s.type, s.stream, bytes(s.data).decode(), s.kind, s.key, s.correlation, s.after)
        for s in outcome.said
    ]
    return {
        "outcome": outcome.outcome, "error": outcome.error, "said": said, "read": outcome.read,
        "wanted": outcome.wanted,
    }  # fmt: skip


if __name__ == "__main__":
    main()
