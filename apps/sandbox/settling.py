"""What follows once a handler has ended: the report, another attempt, a second delivery."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import msgspec

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.emissions import Emission
from apps.sandbox.entries import Entries
from apps.sandbox.making import delivery_data, envelope_of, made_id
from apps.sandbox.outcome import Outcome
from apps.sandbox.recording import Execution, report

ATTEMPTS = 3  # of a delivery that fails in the sandbox and did not when it was recorded
BACKOFF_US = 1_000_000


class Settling(Entries):
    """Plans the deliveries, and what their outcomes lead to."""

    @abstractmethod
    def _execute(
        self, x: Execution, shift: int, *, new: bool = False, swapped: bool = False
    ) -> Iterator[Emission]:
        """Have a handler run."""

    def _settle(
        self, x: Execution, outcome: Outcome, slot: int, time: int, shift: int, by: bool
    ) -> None:
        """Plan the report of the delivery, and what follows from an outcome that is another."""
        entries = [self.recording.entries[p] for p in x.entries]
        recorded = entries[-1] if entries else None
        failed = outcome.outcome == "failed"
        if failed and not (recorded is not None and recorded.failed):
            event = self._event(x.cause)
            self.failures.note(x.service, event.type, outcome.error, x.cause)
        word = outcome.outcome
        if failed and recorded is not None and recorded.failed:
            word = recorded.type
        elif failed and x.attempt >= ATTEMPTS + len(self._failed):
            word = "dead_lettered"
        for entry in entries[:-1]:
            self._plan_report(x, entry, entry.type, "", time, shift, by)
        if recorded is not None:
            self._plan_report(x, recorded, word, outcome.error, time, shift, by)
        elif not x.cut and x.service in self.recording.told:
            made = self._delivery(x, word, outcome.error, time)
            self._at(max(slot, x.slot), 1, time, lambda: self._new_event(made, x.cause, 0, by))
        if recorded is not None and recorded.failed and not failed:
            self._cancelled.add((x.cause, x.service))  # the attempts after it are not needed
        if word == "failed" and not x.cut and not (recorded is not None and recorded.failed):
            again = Execution(x.cause, x.service, x.attempt + 1, time + BACKOFF_US)
            self._plan_new(again, 0)

    def _plan_report(
        self, x: Execution, entry: Recorded, word: str, error: str, time: int, shift: int, by: bool
    ) -> None:
        slot, phase, moved = self._moved_report(entry, shift)
        self._at(slot, phase, time, lambda: self._report(x, entry, word, error, moved, by))

    def _moved_report(self, entry: Recorded, shift: int) -> tuple[int, int, int]:
        shift += self.plan.delays.get(entry.position, 0) if not shift else 0
        if not shift:
            return entry.position, 0, 0
        return self.recording.slot_at(self.recording.time_at(entry.position) + shift), 1, shift

    def _report(
        self, x: Execution, entry: Recorded, word: str, error: str, shift: int, by: bool
    ) -> Iterator[Emission]:
        if entry.position in self.gone:
            return
        told = report(entry)
        same = word == entry.type and error == told.error and not shift
        made = envelope_of(entry, self._cause(entry.cause), time=entry.time + shift)
        if not same:
            data = delivery_data(self._event(x.cause), x, word, error, entry.time + shift, shift)
            made = msgspec.structs.replace(made, type=word, data=data)
        yield self._emit(made, entry.position, by, not same)

    def _delivery(self, x: Execution, word: str, error: str, time: int) -> Envelope:
        event = self._event(x.cause)
        return Envelope(
            kind="delivery", type=word, source=x.service, time=time, correlation=event.correlation,
            id=id_of(event, x, "delivery"),
            data=delivery_data(event, x, word, error, time, 0),
        )  # fmt: skip

    def _repeats(self, x: Execution, new: bool) -> bool:
        """Return whether this delivery is to happen twice."""
        if any(p in self.plan.repeats for p in x.entries):
            return True
        return self.plan.check == "twice" and not (new or x.twin or x.cut)

    def _again(self, x: Execution, clock: int, outcome: Outcome) -> None:
        """Deliver once more, right after the handler has ended."""
        if outcome.outcome == "failed":
            return
        last = [self.recording.entries[p].time for p in x.outputs]
        time = max([clock + after(outcome), *last]) + 1
        slot = max([x.slot, self.recording.place_at(time), *x.outputs])
        twin = Execution(x.cause, x.service, x.attempt + 1, time, slot=slot, twin=True)
        self._at(slot, 1, time, lambda: self._twin(twin))

    def _twin(self, x: Execution) -> Iterator[Emission]:
        self._edited.add(x.cause)
        before = self._told
        yield from self._execute(x, 0, new=True)
        if self._told > before:
            outcome = self.journal[self._told - 1]
            said = [s.type for s in outcome.said]
            self.twins.append((x.service, self._event(x.cause).type, x.cause, said))


def id_of(event: Recorded | Envelope, x: Execution, n: int | str) -> str:
    return made_id(event.id, x.service, x.attempt, "twin" if x.twin else "", n)


def after(outcome: Outcome) -> int:
    return max((s.after for s in outcome.said), default=0)
