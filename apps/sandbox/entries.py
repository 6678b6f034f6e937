"""Entries of a run: inputs as they were recorded, what handlers said, and what is new."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import msgspec

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.emissions import Emission
from apps.sandbox.ledger import Ledger
from apps.sandbox.making import copy_of, envelope_of, made_id
from apps.sandbox.matching import same_data
from apps.sandbox.outcome import Said
from apps.sandbox.recording import Execution


class Entries(Ledger, ABC):
    """Emits entries, and has what they are delivered to planned."""

    @abstractmethod
    def _plan_execution(self, execution: Execution, ref: int, shift: int) -> None:
        """Plan what was recorded to handle an event."""

    @abstractmethod
    def _plan_new(self, execution: Execution, shift: int) -> None:
        """Plan what handles an event and was not recorded."""

    def _plan_input(self, entry: Recorded) -> None:
        slot, phase, shift = self._moved(entry.position, entry.time, 0)
        self._at(slot, phase, entry.time + shift, lambda: self._input(entry, shift))

    def _input(self, entry: Recorded, shift: int) -> Iterator[Emission]:
        position = entry.position
        if position in self.gone:
            return
        if position in self.plan.skips:
            self._lose(position, True)
            return
        orphan = entry.cause is not None and entry.cause in self.gone
        if orphan and (entry.kind == "delivery" or self.plan.drop_orphans):
            self._lose(position, self.gone[entry.cause or 0])
            return
        descends = bool(shift) or position in self.plan.moves
        yield from self._recorded(entry, None, shift, descends, orphan=orphan)

    def _recorded(
        self, entry: Recorded, data: bytes | None, shift: int, descends: bool, *,
        said: Said | None = None, orphan: bool = False,
    ) -> Iterator[Emission]:  # fmt: skip
        """Emit what stands for a recorded entry, with other data where some is given."""
        position = entry.position
        if position in self.plan.skips and said is not None:
            self._lose(position, True)
            return
        if position in self.plan.changes and entry.kind != "response":
            data, descends = self.plan.changes[position], True
        differs = data is not None and not same_data(data, entry)
        stream = said.stream if said is not None else entry.stream
        differs = differs or stream != entry.stream
        made = envelope_of(
            entry, self._cause(entry.cause), stream=stream, data=data if differs else None,
            time=entry.time + shift,
        )  # fmt: skip
        if differs or shift:
            self._content[position] = made
        if (differs or descends) and descends:
            self._taint(position, stream if entry.kind == "event" else "")
            if stream != entry.stream:
                self._edited_streams.add(entry.stream)
        self._shift[position] = shift
        yield self._emit(made, position, descends, differs, orphan)
        if entry.kind in ("event", "command"):
            for execution in self.recording.of_cause.get(position, ()):
                self._plan_execution(execution, position, shift)
            if position in self.plan.repeats:
                yield from self._repeat(entry, made, shift)

    def _repeat(self, entry: Recorded, made: Envelope, shift: int) -> Iterator[Emission]:
        copy = copy_of(made, made_id(entry.id, "again"))
        yield from self._new_event(copy, None, shift, True)

    def _new_event(
        self, made: Envelope, cause: int | None, shift: int, descends: bool
    ) -> Iterator[Emission]:
        """Emit what only the sandbox has, and let the services under test handle it."""
        self._made += 1
        ref = -self._made
        if cause is not None:
            made = msgspec.structs.replace(made, cause=self._placed.get(cause, cause))
        self._content[ref] = made
        if descends:
            self._taint(ref, made.stream if made.kind == "event" else "")
        yield self._emit(made, ref, descends, True)
        if made.kind not in ("event", "command"):
            return
        for service, types in self.recording.handlers.items():
            if made.type in types:
                at = (made.time or 0) + self.recording.lag(service)
                self._plan_new(Execution(ref, service, 1, at), shift)
