"""The smallest history and recipe that still fail: inputs and edits are left out while they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded
from apps.sandbox import edits as recipes
from apps.sandbox.commands import looked
from apps.sandbox.commands.looked import grouped
from apps.sandbox.commands.prepare import Prepared, prepare
from apps.sandbox.edits import Edit
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.engine import Engine
from apps.sandbox.errors import BadRecipe
from apps.sandbox.models import Run
from apps.sandbox.parts import Parts, fitting
from apps.sandbox.queries import targets
from apps.sandbox.shrinking import Asking, smallest
from apps.sandbox.verdict import Figure

ASKED, SECONDS = 5000, 300.0
SHOWN = 200


class Shrunk(msgspec.Struct):
    """What is left. `at` is the position in the sandbox after which it failed."""

    inputs: list[int]
    edits: list[dict[str, Any]]
    entries: list[int]
    asked: int
    over: bool
    at: int = 0


def settle(run: Run, beat: Callable[[int], None]) -> None:
    """Keep what is left of a run's history and recipe.

    beat    called with how many entries are left out; may raise to end it
    raises  BadRecipe, also where it does not fail
    """
    begun = time.monotonic()
    for service in targets.of(run.code):
        raise BadRecipe(
            f"{service} runs in a copy outside with a state of its own: what it would do with less"
            " of the history is not known. Give it code here, or leave it as recorded."
        )
    with prepare(run, (), beat=lambda: beat(0)) as prepared:
        found = Shrink(prepared, beat).done()
        entries = prepared.recording.entries
        looked.keep(run, result(prepared, found, [entries[p] for p in found.entries]), begun)


class Shrink:
    """One reduction."""

    def __init__(self, prepared: Prepared, beat: Callable[[int], None]) -> None:
        self.prepared, self._beat = prepared, beat
        self.parts = Parts(prepared.recording)
        self.edits = [e for e in recipes.read(prepared.run.edits) if e.on]
        self._end = time.monotonic() + SECONDS
        self._asked, self._over, self._at = 0, False, 0

    def done(self) -> Shrunk:
        """Return what is left. raises  BadRecipe where all of it does not fail"""
        inputs, edits = self.parts.inputs, self.edits
        if not self._fails(inputs, edits):
            raise BadRecipe(
                f"It does not fail: {self.prepared.condition} is never so in this run. Say what is"
                " wrong, in “stop when”."
            )
        last = self._at
        early = [p for p in inputs if p <= last]
        inputs = early if self._fails(early, edits) else inputs
        inputs = self._fewer(self.parts.flows(inputs), edits)
        inputs = self._fewer([[p] for p in inputs], edits)
        fewer = self._smallest(edits, lambda kept: self._fails(inputs, kept))
        if len(fewer) < len(edits):
            inputs = self._fewer([[p] for p in inputs], fewer)
        self._fails(inputs, fewer)
        kept = self.parts.kept(inputs)
        return Shrunk(
            inputs, [recipes.plain(e) for e in fewer], list(kept.entries), self._asked, self._over,
            self._at,
        )  # fmt: skip

    def _fewer(self, groups: list[list[int]], edits: list[Edit]) -> list[int]:
        """Return the inputs of as few groups as fail."""
        left = self._smallest(groups, lambda kept: self._fails(_flat(kept), edits))
        return _flat(left)

    def _smallest(self, items: Sequence[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
        asking: Asking[Any] = Asking(
            fails, most=max(0, ASKED - self._asked), stop=lambda: time.monotonic() > self._end
        )
        left = smallest(items, asking)
        self._over = self._over or asking.over
        return left

    def _fails(self, inputs: list[int], edits: list[Edit]) -> bool:
        recording = self.parts.kept(inputs)
        self._beat(len(self.prepared.recording.entries) - len(recording.entries))
        self._asked += 1
        prepared = self.prepared
        changed = prepared.trial(recording, fitting(edits, recording))
        if prepared.fault:
            at = apart(prepared.fault, prepared.trial(recording, [], bare=True), changed)
        else:
            at = reached(prepared, changed)
        if at is None:
            return False
        self._at = at
        return True


def _flat(groups: list[list[int]]) -> list[int]:
    return sorted(p for group in groups for p in group)


def reached(prepared: Prepared, engine: Engine) -> int | None:
    """Return the recorded position up to which a run was when its expression first held."""
    last = engine.recording.base
    try:
        for emission in engine.run():
            last = max(last, emission.ref)
            if prepared.stops(emission, engine):
                return last
    except Stopped:
        pass
    return None


def apart(fault: str, plain: Engine, changed: Engine) -> int | None:
    """Return where a run first is wrong beside one without edits and other code, None for nowhere.

    What is left out of the history is left out of both, so it is not what makes them differ.
    """
    known = {_identity(e): e for e in ended(plain)}
    last = plain.recording.base
    for emission in ended(changed):
        last = max(last, emission.ref)
        if known.pop(_identity(emission), None) is None and _is_wrong(fault, emission):
            return last
    if fault == "failing":
        return None
    lost = [e.ref for e in known.values() if e.ref > 0]
    if fault == "unexpected":
        lost = [ref for ref in lost if not changed.gone.get(ref, True)]
    return max(last, *lost) if lost else None


def ended(engine: Engine) -> list[Emission]:
    """Return what a run makes up to its end, or to where it stops."""
    made: list[Emission] = []
    try:
        made.extend(engine.run())
    except Stopped:
        pass
    return made


def _identity(emission: Emission) -> tuple[Any, ...]:
    made = emission.envelope
    return emission.ref if emission.ref > 0 else made.id, made.type, made.stream, made.data


def _is_wrong(fault: str, emission: Emission) -> bool:
    made = emission.envelope
    if fault == "failing":
        return made.kind == "delivery" and made.type in ("failed", "dead_lettered")
    return fault == "differs" or not emission.descends


def result(prepared: Prepared, found: Shrunk, entries: list[Recorded]) -> dict[str, Any]:
    """Return what is kept of a reduction."""
    parts = Parts(prepared.recording)
    inputs, edits = len(parts.inputs), sum(e.get("on", True) for e in prepared.run.edits)
    verb = "is" if len(found.inputs) == 1 else "are"
    head = f"{grouped(len(found.inputs))} of {grouped(inputs)} inputs {verb} enough."
    which = f", with {len(found.edits)} of {edits} edits" if edits else ""
    less = "It may be less: the time was over." if found.over else "Without any one it is not so."
    text = f"Then {prepared.condition}{which}. {less}"
    figures = [
        Figure("Inputs", grouped(inputs), grouped(len(found.inputs))),
        Figure("Entries", grouped(len(prepared.recording.entries)), grouped(len(found.entries))),
        Figure("Runs it took", grouped(found.asked)),
    ]  # fmt: skip
    among = set(found.inputs)
    rows = [
        {"position": e.position, "type": e.type, "stream": e.stream, "kind": e.kind,
         "source": e.source, "input": e.position in among}
        for e in entries
        if e.kind in ("event", "command")
    ]  # fmt: skip
    kept = msgspec.to_builtins(found)
    return looked.result(
        head, text, figures, kept, shrunk=kept, condition=prepared.condition,
        shrunk_rows=rows[:SHOWN], shrunk_more=len(rows[SHOWN:]),
    )  # fmt: skip
