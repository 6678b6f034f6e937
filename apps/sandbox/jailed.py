"""Handlers in a confined child, asked from here one task after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from apps.projections.jail import Ended, Jail
from apps.sandbox.answers import Answer
from apps.sandbox.guessing import Guesses
from apps.sandbox.outcome import Outcome, Said, Task, World

CHILD = Path(__file__).with_name("child.py")
START_S = 20.0
HANDLER_S = 5.0  # one handler may take, its questions among it
QUESTIONS = 20_000  # one handler may ask


class Told(msgspec.Struct):
    """What a child says of its modules."""

    error: str = ""
    handlers: list[tuple[str, str]] = []  # service, event type
    watched: list[str] = []
    fingerprint: str = ""
    sources: dict[str, str] = {}  # service: its handlers as they are written


class _Done(msgspec.Struct):
    outcome: str
    error: str
    said: list[tuple[str, str, str, str, str, str, int]]
    read: list[str]
    wanted: dict[str, Any] | None = None


class Jailed:
    """One child for some modules, and for source that was typed. One task at a time.

    held  which walls stand around it, once it was started
    """

    def __init__(
        self, modules: Sequence[str], *, paths: Sequence[str] = (), hidden: Sequence[str] = (),
        source: str | None = None, handler_s: float = HANDLER_S, first: str = "",
    ) -> None:  # fmt: skip
        self.modules, self.source, self.handler_s = list(modules), source, handler_s
        self.told: Told | None = None
        self.held: dict[str, bool] = {}
        self._jail = Jail(CHILD, self.modules, paths=paths, hidden=hidden, first=first)
        self._guesses = Guesses()
        self._lock = threading.RLock()

    def describe(self) -> Told:
        """Return what handlers there are, starting the child where it is not there."""
        with self._lock:
            if self.told is None or (not self._jail.alive and not self.told.error):
                self.told = self._start()
            return self.told

    def _start(self) -> Told:
        deadline = time.monotonic() + START_S
        try:
            self.held = self._jail.start(START_S)["held"]
            self._jail.send({"source": self.source}, deadline)
            told = msgspec.convert(self._jail.receive(deadline), Told)
        except (TimeoutError, Ended, KeyError, TypeError, msgspec.ValidationError):
            self._jail.close()
            names = ", ".join(self.modules) or "The code"
            return Told(f"{names} did not load within {START_S:g} s, or ended the process.")
        if told.error:
            self._jail.close()
        return told

    def run(self, task: Task, world: World) -> Outcome:
        """Run the handler of a task; what it does to its process is told as its failure."""
        with self._lock:
            if error := self.describe().error:
                return Outcome("failed", error)
            deadline = time.monotonic() + self.handler_s
            try:
                return self._ask(task, world, deadline)
            except TimeoutError:
                self._jail.close()
                return Outcome("failed", f"It did not return within {self.handler_s:g} s.")
            except (
                Ended, msgspec.ValidationError, KeyError, TypeError, IndexError, UnicodeError
            ):  # fmt: skip
                self._jail.close()
                return Outcome(
                    "failed", "Its process ended: out of memory, of processor time, or by itself."
                )

    def _ask(self, task: Task, world: World, deadline: float) -> Outcome:
        """Hand out a task with what it is likely to ask, and answer what else it asks."""
        guessed = self._guesses.streams(task.service, task.event)
        states = {stream: world.state(stream).decode() for stream in guessed}
        calls = world.expected()
        self._jail.send({"task": task, "states": states, "calls": calls}, deadline)
        for _ in range(QUESTIONS):
            said = self._jail.receive(deadline)
            self._take(said["taken"], calls, world)
            if "state" in said:
                text = world.state(str(said["state"])).decode()
                self._jail.send({"state": text}, deadline)
            elif "call" in said:
                answer = world.call(str(said["call"]), said["request"])
                calls = world.expected()
                self._jail.send({"answer": answer, "calls": calls}, deadline)
            else:
                outcome = _outcome(msgspec.convert(said["done"], _Done))
                self._guesses.learn(task.service, task.event, outcome.read)
                return outcome
        self._jail.close()
        return Outcome("failed", f"It asked more than {QUESTIONS} questions.")

    def _take(
        self, taken: list[int], calls: list[tuple[str, str, Answer]], world: World
    ) -> None:  # fmt: skip
        """Take the answers the child has used of those it was given beforehand."""
        for n in taken:
            name, request, _ = calls[n]
            world.call(name, msgspec.json.decode(request))

    def close(self) -> None:
        """End the child. May be called twice."""
        with self._lock:
            self._jail.close()


def _outcome(done: _Done) -> Outcome:
    """Return what a child says as an Outcome; JSON it made up is refused.

    raises  msgspec.ValidationError
    """
    said = []
    for type, stream, text, kind, key, correlation, after in done.said:
        raw = text.encode()
        try:
            msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise msgspec.ValidationError(str(error)) from error
        if kind not in ("event", "command", "response") or "\0" in type + stream + correlation:
            raise msgspec.ValidationError("no such thing can be said")
        said.append(Said(type, stream, msgspec.Raw(raw), kind, key, correlation, max(0, after)))
    if done.outcome not in ("handled", "failed", "skipped"):
        raise msgspec.ValidationError("no such outcome")
    return Outcome(done.outcome, done.error[:1000], said, done.read[:1000], done.wanted)
