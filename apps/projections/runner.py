"""Somebody's reducers in a confined child: started when needed, ended when it hangs."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from apps.projections.jail import Ended, Jail

CHILD = Path(__file__).with_name("child.py")
START_S = 15.0
AGAIN_S = 60.0  # after which one that ended its process may try again, without any change
BATCH_S = 5.0  # a batch of events that takes longer is stopped


class Stopped(Exception):
    """The child ended or was ended. `position` is the event it was at, 0 when at none."""

    def __init__(self, text: str, position: int = 0) -> None:
        super().__init__(text)
        self.text, self.position = text, position


class Described(msgspec.Struct, frozen=True):
    """One projection as its module defines it. `by` is stream, key or all."""

    name: str
    streams: tuple[str, ...]
    version: int
    by: str
    kinds: tuple[str, ...]
    fingerprint: str


class Told(msgspec.Struct):
    """What a child says of its modules. `watched` are the files that would change it."""

    error: str = ""
    held: dict[str, bool] = {}
    watched: list[str] = []
    files: list[str] = []  # the modules' own, of which the fingerprints are made
    reducers: list[Described] = []
    upcasts: list[tuple[str, int]] = []


class Answer(msgspec.Struct):
    """What became of a batch of events; see `child.answer`."""

    position: int
    state: str | None
    error: str
    broken: int | None
    taken: int
    points: list[tuple[int, str]]
    marks: list[int] | None


class Upcast(msgspec.Struct):
    """What an event's data became, as JSON, or why it became nothing."""

    version: int
    data: str
    error: str


class Keys(msgspec.Struct):
    """The entity of each event by a projection's key, and why it has none."""

    keys: list[tuple[str | None, str]]


Said = TypeVar("Said", Answer, Upcast, Keys)


class Runner:
    """One child for a list of modules. Safe to use from several threads, one request at a time."""

    def __init__(
        self, modules: Sequence[str], paths: Sequence[str] = (), *, hidden: Sequence[str] = ()
    ) -> None:
        self.modules = list(modules)
        self.told = Told()
        self._jail = Jail(CHILD, self.modules, paths=paths, hidden=hidden)
        self._lock = threading.RLock()
        self._seen: dict[str, int] | None = None
        self._again = math.inf

    @property
    def folders(self) -> list[str]:
        """Where modules are looked for, in this order."""
        return [*self._jail.paths[1:], self._jail.paths[0]]

    @property
    def error(self) -> str:
        """Why there are no projections, when a module cannot be imported."""
        return self.told.error

    @property
    def held(self) -> dict[str, bool]:
        """Which walls stand around the child; see `confine`."""
        return self.told.held

    @property
    def busy(self) -> bool:
        """Whether another thread's request is being answered, which may take BATCH_S."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        return False

    def describe(self) -> dict[str, Described]:
        """Return the projections there are, of the files as they are now.

        Never waits for a reducer that is at work: then they are those of the last look.
        """
        if self._lock.acquire(blocking=self._seen is None):
            try:
                if self._seen is None or self._stale() or not (self._jail.alive or self.error):
                    self._start()
            finally:
                self._lock.release()
        return {} if self.error else {shape.name: shape for shape in self.told.reducers}

    def ask(self, request: dict[str, Any], *, seconds: float = BATCH_S) -> Answer:
        """Send a batch of events and return the answer.

        raises  Stopped with the event's position when it takes longer, or the child dies
        """
        return self._asked(request, Answer, seconds)

    def upcast(self, event: dict[str, Any]) -> Upcast:
        """Return what upcasters make of an event's data. raises  Stopped"""
        return self._asked({"upcast": event}, Upcast, BATCH_S)

    def keys(self, name: str, events: list[dict[str, Any]]) -> Keys:
        """Return which entity each event belongs to. raises  Stopped"""
        return self._asked({"keys": name, "events": events}, Keys, BATCH_S)

    def _asked(self, request: dict[str, Any], answer: type[Said], seconds: float) -> Said:
        with self._lock:
            self.describe()
            deadline = time.monotonic() + seconds
            try:
                if not self._jail.alive:
                    raise Ended
                self._jail.send(request, deadline)
                return msgspec.convert(self._jail.receive(deadline), answer)
            except TimeoutError:
                raise self._stopped(f"It did not return within {seconds:g} s.") from None
            except (Ended, msgspec.ValidationError):
                raise self._stopped(
                    "Its process ended: out of memory, of processor time, or by itself."
                ) from None

    def close(self) -> None:
        """End the child. May be called twice; the next request starts another."""
        with self._lock:
            self._jail.close()

    def _stopped(self, text: str) -> Stopped:
        at = self._jail.at()
        self.close()
        return Stopped(text, at)

    def _stale(self) -> bool:
        if time.monotonic() > self._again:
            return True
        return any(_changed_at(path) != seen for path, seen in (self._seen or {}).items())

    def _start(self) -> None:
        self._again = math.inf
        try:
            self.told = msgspec.convert(self._jail.start(START_S), Told)
        except (TimeoutError, Ended, msgspec.ValidationError):
            names = ", ".join(self.modules)
            text = f"{names} did not load within {START_S:g} s, or ended the process."
            self.told = Told(error=text, watched=self._candidates())
            self._again = time.monotonic() + AGAIN_S
        self._seen = {path: _changed_at(path) for path in self.told.watched}
        if self.error:
            self._jail.close()

    def _candidates(self) -> list[str]:
        from apps.projections.child import candidates  # importing it registers nothing

        return candidates(self.modules, self.folders)


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
