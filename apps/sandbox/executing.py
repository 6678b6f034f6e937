"""Executions of a run: when a handler runs, what it may ask for, and where what it said goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.answers import Answer, key_of
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.making import task_event
from apps.sandbox.matching import matched
from apps.sandbox.outcome import Outcome, Said, Task
from apps.sandbox.recording import Execution
from apps.sandbox.settling import Settling, after, id_of


class Executions(Settling):
    """Runs handlers, or takes from the journal what they did."""

    def _plan_execution(self, execution: Execution, ref: int, shift: int) -> None:
        """Plan a recorded execution: at its slot, or as much later as its event came."""
        recording = self.recording
        last = execution.entries[-1] if execution.entries else 0
        own = self.plan.delays.get(last, 0)
        if last in self.plan.moves:
            slot = max(self.plan.moves[last], ref if ref > 0 else 0)
            own = recording.time_at(slot) - execution.started
        elif id(execution) in self._swaps and not shift:
            other = self._swaps[id(execution)]
            self._edited.add(ref)
            self._at(
                other.slot, 1, other.started, lambda: self._execute(execution, 0, swapped=True)
            )
            return
        elif shift or own:
            slot = recording.slot_at(execution.started + shift + own)
        else:
            slot = execution.slot
        total = shift + own
        self._at(slot, 1, execution.started + total, lambda: self._execute(execution, total))

    def _plan_new(self, execution: Execution, shift: int) -> None:
        slot = self.recording.place_at(execution.started)
        self._at(slot, 1, execution.started, lambda: self._execute(execution, shift, new=True))

    def _execute(
        self, x: Execution, shift: int, *, new: bool = False, swapped: bool = False
    ) -> Iterator[Emission]:
        if (x.cause, x.service) in self._cancelled or any(p in self.plan.skips for p in x.entries):
            for position in (*x.outputs, *x.entries):
                self._lose(position, True)
            return
        descends = bool(shift) or swapped or self._descends(x)
        clock = x.started if new else x.started + shift
        event = task_event(self._event(x.cause))
        task = Task(x.service, event, x.attempt, clock)
        outcome, descends = self._outcome(task, x, descends)
        if outcome.wanted is not None:
            raise Stopped(
                f"Nothing recorded answers {outcome.wanted['call']!r}, which {x.service} called"
                f" for {event['type']}.", outcome.wanted,
            )  # fmt: skip
        self._speak(x, outcome, clock, shift, descends)
        if self._repeats(x, new):
            self._again(x, clock, outcome)
        yield from ()

    def _descends(self, x: Execution) -> bool:
        return (
            x.cause in self._edited or x.cause < 0 or x.service in self.plan.other_code
            or any(p in self.plan.moves or p in self.plan.delays for p in x.entries)
        )  # fmt: skip

    def _outcome(self, task: Task, x: Execution, descends: bool) -> tuple[Outcome, bool]:
        """Run the handler, or take from the journal what it did."""
        if self._told < len(self.journal):
            outcome = self.journal[self._told]
            world = _World(self, x)
            for said in outcome.said:
                if said.kind == "response":
                    call = msgspec.json.decode(said.data)
                    world.call(call["call"], call["request"])
        else:
            world = _World(self, x)
            outcome = self.hosts[task.service].run(task, world)
            if outcome.wanted is not None:
                if not x.cut:
                    return outcome, descends
                # The stretch ended while it waited for this answer.
                outcome = Outcome("handled", said=outcome.said, read=outcome.read)
            self.journal.append(outcome)
            self.noted(task.service)
        self._told += 1
        self.heard(task, outcome)
        descends = descends or world.edited or bool(self._edited_streams.intersection(outcome.read))
        if descends:
            self._edited_keys.update(world.keys)
        return outcome, descends

    def _speak(self, x: Execution, outcome: Outcome, clock: int, shift: int, by: bool) -> None:
        """Plan what a handler said for the places of what it said when it was recorded."""
        entries = self.recording.entries
        failed = outcome.outcome == "failed"
        said = [s for s in outcome.said if s.kind == "response" or not failed]
        before = [entries[p] for p in x.outputs]
        stands_for = matched(said, before)
        slot, phase, time = self.recording.slot_at(clock), 1, clock
        if x.slot and not shift:
            slot = x.slot
        following = {r.position for r in stands_for if r is not None}
        for n, (each, recorded) in enumerate(zip(said, stands_for, strict=True)):
            if recorded is not None:
                slot, phase, moved = self._moved(recorded.position, recorded.time, shift)
                time = recorded.time + moved
                following.discard(recorded.position)
                self._plan_said(slot, phase, time, recorded, each, moved, by)
                continue
            if x.cut and not following and n >= len(before):
                break  # what it said after the stretch ended is not known
            time = max(time, clock + each.after)
            at = self.recording.slot_at if shift else self.recording.place_at
            slot = max(slot, at(time))
            if following and not shift:
                slot = max(x.slot, min(slot, min(following) - 1))
            self._plan_made(x, n, slot, time, each, by)
        used = {r.position for r in stands_for if r is not None}
        for recorded in before:
            if recorded.position not in used:
                self._lose(recorded.position, by)
        self._settle(x, outcome, slot, max(time, clock + after(outcome)), shift, by)

    def _plan_said(
        self, slot: int, phase: int, time: int, recorded: Recorded, said: Said, shift: int, by: bool
    ) -> None:
        act = self._recorded
        data = bytes(said.data)
        self._at(slot, phase, time, lambda: act(recorded, data, shift, by, said=said))

    def _plan_made(self, x: Execution, n: int, slot: int, time: int, said: Said, by: bool) -> None:
        event, recording = self._event(x.cause), self.recording
        source = recording.sources.get(x.service, f"/{x.service}")
        made = Envelope(
            type=said.type, id=id_of(event, x, n), source=source,
            kind=said.kind, stream=said.stream, time=time,  # type: ignore[arg-type]
            correlation=said.correlation or event.correlation, key=said.key,
            channel=recording.channels.get((source, said.type), ""), data=bytes(said.data),
        )  # fmt: skip
        self._at(slot, 1, time, lambda: self._new_event(made, x.cause, 0, by))


class _World:
    """What one handler may ask for, and what that says about where its differences come from."""

    def __init__(self, engine: Executions, own: Execution) -> None:
        self.engine, self.own = engine, own
        self.edited = False
        self.keys: list[Any] = []
        self._had: set[int] = set()  # positions of answers it was given

    def state(self, stream: str) -> bytes:
        return self.engine.states.encoded(stream)

    def expected(self) -> list[tuple[str, str, Answer]]:
        if self.engine.plan.check == "failing":
            return []
        return self.engine.answers.expected(self.own)

    def call(self, name: str, request: Any) -> Answer | None:
        answers = self.engine.answers
        if self.engine.fails(self.own, name):
            self.edited = True
            return Answer(None, failed=True)
        answer = answers.take(name, request, self.own)
        if answer is not None:
            # Who finds none of the recorded ones left may have lost his to one who was edited.
            key = answers.key_at[answer.position] if answer.position else key_of(name, request)
            self.keys.append(key)
            is_own = answer.position in self.own.outputs and answer.position not in self._had
            if not is_own and key in self.engine._edited_keys:
                self.edited = True
            self._had.add(answer.position)
        return answer
