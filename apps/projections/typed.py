"""Python typed in a browser, run by Monty: an interpreter without files, network and clock.

    with typed.session(source) as code:
        outcome = code.call("handle", event, outside={"publish": publish})

    answer = typed.fold(source, request)          # as a child of `runner` answers

Each session is a world of its own with limits on time, memory and depth; its clock stands still,
its randomness begins at a seed. What the code does wrong is a value, never an exception here.
`outside` are functions of ours the code may call by name: they are the only way out, and a
BaseException that one of them raises ends the call whatever the code catches.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pydantic_monty as monty

from apps.projections import blame, exact, fold
from apps.projections.exact import MISSING
from apps.projections.runner import Answer
from evdebug.sdk.events import Event

SOURCE = 64 * 1024  # characters of code
SECONDS = 5.0  # for one call, or one batch of events
MEMORY = 64 * 1024 * 1024
DEPTH = 200  # calls within calls
PRINTED = 64 * 1024  # characters of what it prints that are kept
WORKERS, WAIT_S = 2, 10.0
START, SEED = datetime(2026, 1, 1), 42

_FIELDS = tuple(Event.__dataclass_fields__)
_PRELUDE = f"""
import json as _json
class _Deleted:
    pass
DELETED = _Deleted()
class Event:
    def __init__(self, _fields):
        {"; ".join(f"self.{name} = _fields[{name!r}]" for name in _FIELDS)}
def _called(_function, _given):
    _got = _function(*[Event(_g["event"]) if "event" in _g else _g["value"] for _g in _given])
    return _json.dumps(_got, allow_nan=False)
"""
_FOLD = """
for _each in _events:
    _at = _each["position"]
    _got = reducer(None if _raw is None else _json.loads(_raw), Event(_each))
    _raw = "null" if _got is DELETED else "" if _got is None else _json.dumps(_got, allow_nan=False)
    _out.append([_at, _raw])
    if not _raw:
        break
"""


class BadCode(Exception):
    """The code cannot be used. `line` counts from 1, 0 when no line is to blame."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.text, self.line = text, line


class Gone(Exception):
    """The code ended its interpreter, and nobody knows at which event."""


class Outcome(NamedTuple):
    """What came of a call: its value as JSON holds it, or the error and the line it arose on."""

    value: Any = None
    error: str = ""
    line: int = 0
    printed: str = ""


class Session:
    """Code that was read. Not for several threads at once; see `session`."""

    def __init__(self, within: monty.MontySession, source: str, prelude: str = "") -> None:
        self._within = within
        within.feed_run(_PRELUDE + prelude)
        self._feed = 1  # feeds are numbered; the code's own tells its lines from ours
        within.feed_run(source, print_callback=_nowhere)

    def has(self, name: str) -> bool:
        """Return whether the code defines something to call by this name."""
        if not name.isidentifier():
            return False
        try:
            return bool(self._within.feed_run(f"type({name}).__name__ == 'function'"))
        except monty.MontyError:
            return False

    def call(
        self, name: str, *arguments: Any, outside: Mapping[str, Callable[..., Any]] | None = None
    ) -> Outcome:
        """Call a function of the code's.

        arguments  Events, and what JSON can hold
        outside    functions of ours by name, called here with what the code gives them
        """
        given = [{"event": asdict(a)} if isinstance(a, Event) else {"value": a} for a in arguments]
        printed = _Printed()
        try:
            raw = self._within.feed_run(
                f"_called({name}, _given)", inputs={"_given": given}, print_callback=printed,
                external_lookup=dict(outside or {}),
            )  # fmt: skip
            if len(raw) > exact.SIZE:
                return Outcome(error=_large(len(raw)), printed=printed.text)
            return Outcome(msgspec.json.decode(raw), printed=printed.text)
        except monty.MontyError as error:
            text, line = _explained(error)
            return Outcome(error=text, line=line, printed=printed.text)
        except (ValueError, TypeError, RecursionError) as error:  # NaN among them
            return Outcome(error=fold.explained(error), printed=printed.text)

    def steps(self, state: str | None, events: list[dict[str, Any]]) -> tuple[list[Any], str, int]:
        """Fold and return ([position, state as JSON] for each event, error, its position).

        raises  Gone
        """
        error = ""
        try:
            self._within.feed_run(
                _FOLD, print_callback=_nowhere,
                inputs={"_events": events, "_raw": state, "_out": [], "_at": 0},
            )  # fmt: skip
        except monty.MontyError as wrong:
            text, line = _explained(wrong)
            error = f"{text} (line {line})" if line else text
        try:
            at, out = self._within.feed_run("[_at, _out]")
        except (monty.MontyError, RuntimeError):  # the process is gone, and with it where it was
            raise Gone(error or "Its process ended.") from None
        return list(out), error, at


@contextmanager
def session(
    source: str, *, prelude: str = "", seed: int = SEED, start: datetime = START
) -> Iterator[Session]:
    """Run code up to its end, so that its functions can be called.

    prelude  code of ours that runs before it
    raises  BadCode when it cannot be read or run, or all interpreters are busy
    """
    if len(source) > SOURCE:
        raise BadCode(f"The code has {len(source)} characters; at most {SOURCE} are read.")
    limits = monty.ResourceLimits(
        max_feed_duration_secs=SECONDS, max_memory=MEMORY, max_recursion_depth=DEPTH
    )
    policy = monty.OSPolicy(
        datetime=start, timezone="utc", sleep="zero", process_time="zero",
        random_start={"seed": seed},
    )  # fmt: skip
    try:
        with _pool().checkout(limits=limits, os_policy=policy, script_name="typed") as within:
            yield Session(within, source, prelude)
    except monty.MontyError as error:
        raise BadCode(*_explained(error)) from None
    except TimeoutError:
        raise BadCode("All interpreters are busy; try again in a moment.") from None


def check(source: str, name: str) -> None:
    """Raise BadCode unless the code can be run and defines a function of this name."""
    with session(source) as code:
        if not code.has(name):
            raise BadCode(f"The code defines no function {name!r}.")


def folded(source: str, request: dict[str, Any]) -> Answer:
    """Fold a batch of events with the code's `reducer`; see `child.answer`."""
    raw, position = request["state"], request["position"]
    steps, error, at = _steps(source, raw, request["events"])
    tracking = request["marks"] is not None
    state = MISSING if raw is None else msgspec.json.decode(raw)
    marks = blame.unrow(state, iter(request["marks"])) if tracking else MISSING
    points, taken = [], 0
    for place, text in steps:
        try:
            after = msgspec.json.decode(text) if text else None
            kept = "null" if text == "null" else fold.taken(after).decode()
        except (fold.Nonsense, ValueError) as wrong:
            error, at = fold.explained(wrong), place
            break
        marks = blame.renewed(state, marks, after, place) if tracking else MISSING
        state, raw, position, taken = after, kept, place, taken + 1
        if request["every"]:
            points.append((place, kept))
    return Answer(
        position=position, state=raw, error=error, broken=at if error else None, taken=taken,
        points=points, marks=blame.row(state, marks) if tracking else None,
    )  # fmt: skip


def _steps(source: str, raw: str | None, events: list[Any]) -> tuple[list[Any], str, int]:
    try:
        with session(source) as code:
            return code.steps(raw, events)
    except BadCode as bad:
        line = f" (line {bad.line})" if bad.line else ""
        return [], bad.text + line, events[0]["position"]
    except Gone as gone:
        if len(events) == 1:
            return [], str(gone), events[0]["position"]
    return _one_by_one(source, raw, events)


def _one_by_one(source: str, raw: str | None, events: list[Any]) -> tuple[list[Any], str, int]:
    """Fold as `Session.steps` does, slowly, to find the event at which the interpreter ends."""
    done: list[Any] = []
    with session(source) as code:
        for event in events:
            try:
                steps, error, at = code.steps(raw, [event])
            except Gone as gone:
                return done, str(gone), event["position"]
            done += steps
            if error or not steps[-1][1]:
                return done, error, at
            raw = steps[-1][1]
    return done, "", 0


class _Printed:
    """Keeps the first PRINTED characters of what is printed."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, stream: str, text: str) -> None:
        self.text += text[: PRINTED - len(self.text)]


def _nowhere(stream: str, text: str) -> None:
    pass


def _large(size: int) -> str:
    return f"It returned {size} bytes of JSON; at most {exact.SIZE} are taken."


def _explained(error: monty.MontyError) -> tuple[str, int]:
    """Return an error in one line, and the last line of the typed code it went through."""
    if isinstance(error, monty.MontyRuntimeError | monty.MontySyntaxError):
        frames = [frame for frame in error.traceback() if frame.filename == _OWN]
        syntax = "SyntaxError: " if isinstance(error, monty.MontySyntaxError) else ""
        return f"{syntax}{error}"[:500], frames[-1].line if frames else 0
    return f"Its process ended: {error}"[:500], 0


_OWN = "<python-input-1>"  # the second feed of a session: the typed code
_made: tuple[int, monty.Monty] | None = None
_making = threading.Lock()


def _pool() -> monty.Monty:
    """Return this process's interpreters, started when first needed; a fork has its own."""
    global _made
    with _making:
        if _made is None or _made[0] != os.getpid():
            pool = monty.Monty(
                min_processes=0, max_processes=WORKERS, checkout_timeout=WAIT_S,
                request_timeout=SECONDS * 2, max_checkouts_per_worker=200,
            )  # fmt: skip
            pool.__enter__()
            atexit.register(pool.__exit__, None, None, None)
            _made = (os.getpid(), pool)
        return _made[1]
