"""What a run knows of itself: what is planned, what happened where, what descends from edits."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.answers import Answers
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.failing import Failures
from apps.sandbox.known import States
from apps.sandbox.outcome import Host, Outcome, Task
from apps.sandbox.plan import Plan
from apps.sandbox.recording import Execution, Recording
from apps.sandbox.swapping import swaps

MOST = 4  # times as many entries as were recorded: a handler that multiplies events is stopped
SLACK = 10_000


class Ledger:
    """The agenda of a run over one recording, and its books; nothing here runs a handler.

    first      the position the sandbox's first entry gets
    journal    what handlers did already; grows as they run
    gone       recorded positions that do not happen here, and whether that descends from an edit
    """

    def __init__(
        self, recording: Recording, plan: Plan, hosts: Mapping[str, Host], answers: Answers,
        before: Callable[[str], Any], *, first: int = 0, journal: Sequence[Outcome] = (),
    ) -> None:  # fmt: skip
        self.recording, self.plan, self.hosts, self.answers = recording, plan, hosts, answers
        entries = recording.entries.values()
        new = frozenset(e.stream for e in entries if e.revision == 0 and e.stream)
        self.states = States(before, new)
        self.journal = list(journal)
        self.noted: Callable[[str], object] = lambda service: None  # told of each new outcome
        self.heard: Callable[[Task, Outcome], object] = lambda task, outcome: None  # of every one
        self.failures = Failures()
        self.gone: dict[int, bool] = {}
        self.twins: list[tuple[str, str, int, list[str]]] = []
        self.replayed = 0  # recorded entries that happened here, too
        self._swaps = swaps(recording) if plan.check == "swapped" else {}
        self._failed: set[tuple[int, str, str]] = set()  # calls that failed once
        self._told = 0  # outcomes of the journal used up
        self._next = first or recording.base + 1
        self._placed: dict[int, int] = {}  # ref: position in the sandbox
        self._content: dict[int, Envelope] = {}  # refs whose content is not the recorded
        self._edited: set[int] = set()  # refs that descend from an edit
        self._edited_streams: set[str] = set()
        self._edited_keys: set[Any] = set()
        self._shift: dict[int, int] = {}  # ref: µs its event was put off
        self._cancelled: set[tuple[int, str]] = set()
        self._agenda: list[tuple[int, int, int, int, Callable[[], Iterator[Emission]]]] = []
        self._planned = 0
        self._made = 0
        self._most = len(recording.entries) * MOST + SLACK

    @property
    def head(self) -> int:
        """The position of the last entry emitted."""
        return self._next - 1

    def fails(self, x: Execution, name: str) -> bool:
        """Return whether this call is to fail, as each does once where that is checked."""
        key = x.cause, x.service, name
        if self.plan.check != "failing" or key in self._failed:
            return False
        self._failed.add(key)
        return True

    def _at(self, slot: int, phase: int, time: int, act: Callable[[], Iterator[Emission]]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (slot, phase, time, self._planned, act))

    def _moved(self, position: int, time: int, shift: int) -> tuple[int, int, int]:
        """Return (slot, phase, shift) of a recorded entry, as edits and its cause's delay say."""
        plan, recording = self.plan, self.recording
        if position in plan.moves:
            after = plan.moves[position]
            moved = recording.time_at(after) - recording.time_at(position)
            return after, 1, moved
        shift += plan.delays.get(position, 0)
        if not shift:
            return position, 0, 0
        return recording.slot_at(max(time + shift, recording.time_at(position) + shift)), 1, shift

    def _emit(
        self, made: Envelope, ref: int, descends: bool, differs: bool, orphan: bool = False
    ) -> Emission:
        if self._next - self.recording.base > self._most:
            raise Stopped(
                f"The run made more than {self._most} entries of {len(self.recording.entries)}"
                " recorded ones: a handler multiplies events."
            )
        self._placed[ref] = self._next
        self._next += 1
        self.replayed += ref > 0
        if made.kind == "event" and made.stream:
            self.states.apply(made.stream, made.data)
        return Emission(made, ref, descends, differs, orphan)

    def _cause(self, cause: int | None) -> int | None:
        """Return where the sandbox has a recorded cause."""
        if cause is None or cause <= self.recording.base:
            return cause
        return self._placed.get(cause)

    def _event(self, ref: int) -> Recorded | Envelope:
        made = self._content.get(ref)
        if made is not None:
            return made
        found = self.recording.at(ref)
        assert found is not None, "an execution follows its event"
        return found

    def _lose(self, position: int, descends: bool) -> None:
        """Note that a recorded entry does not happen, nor what services under test made of it."""
        todo = [position]
        while todo:
            at = todo.pop()
            if at in self.gone or at in self._placed:
                continue
            self.gone[at] = descends
            entry = self.recording.entries.get(at)
            if entry is None:
                continue
            if descends:
                self._taint(at, entry.stream if entry.kind == "event" else "")
                if at in self.answers.key_at:
                    self._edited_keys.add(self.answers.key_at[at])
            for execution in self.recording.of_cause.get(at, ()):
                todo += [*execution.outputs, *execution.entries]
            # Deliveries of what did not happen did not happen, whoever got them.
            todo += [
                p for p in self.recording.caused.get(at, ())
                if self.recording.entries[p].kind == "delivery"
            ]  # fmt: skip

    def _taint(self, ref: int, stream: str) -> None:
        self._edited.add(ref)
        if stream:
            self._edited_streams.add(stream)

    def _taint_effects(self, position: int) -> None:
        """Note the streams whose states are others until what was put off comes, if it does."""
        seen, todo = {position}, [position]
        entry = self.recording.entries[position]
        if entry.kind == "delivery":
            own = [x for x in self.recording.of_cause.get(entry.cause or 0, ())
                   if position in x.entries]  # fmt: skip
            todo = [p for x in own for p in x.outputs]
        while todo:
            at = todo.pop()
            found = self.recording.entries.get(at)
            if found is not None and found.kind == "event" and found.stream:
                self._edited_streams.add(found.stream)
            news = [p for p in self.recording.caused.get(at, ()) if p not in seen]
            seen.update(news)
            todo += news
