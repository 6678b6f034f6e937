"""A deterministic run: inputs are replayed, and the services under test handle them anew.

The engine goes through the slots of a recording in order. An input is emitted at its position. An
execution runs once its event has been emitted and its slot has come; what its handler says takes
the place of what it said when it was recorded, and what it says anew goes in between. Nothing here
depends on a clock, on chance or on the order of a set, so the same run twice gives the same bytes.

The journal holds what each handler did, in order. With a journal a run goes on where another was
killed: the engine takes what is in it instead of running the handlers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.answers import Answer, Answers
from apps.sandbox.known import States
from apps.sandbox.making import copy_of, delivery_data, envelope_of, made_id, task_event
from apps.sandbox.matching import matched, same_data
from apps.sandbox.outcome import Host, Outcome, Said, Task
from apps.sandbox.plan import Plan
from apps.sandbox.recording import Execution, Recording, report

ATTEMPTS = 3  # of a delivery that fails in the sandbox and did not when it was recorded
BACKOFF_US = 1_000_000
MOST = 4  # times as many entries as were recorded: a handler that multiplies events is stopped
SLACK = 10_000
NEAR = 200  # positions between two that are swapped, at most


class Emission(msgspec.Struct):
    """One entry of the sandbox.

    ref        the recorded position it stands for; below 0 for what only the sandbox has
    descends   whether what differs about it comes of an edit
    differs    whether its content differs from the recorded
    orphan     its cause did not happen here, and its service is not under test
    """

    envelope: Envelope
    ref: int
    descends: bool = False
    differs: bool = False
    orphan: bool = False


class Stopped(Exception):
    """The run cannot go on by itself. `wanted` is the call nothing answers, if that is it."""

    def __init__(self, text: str, wanted: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.text, self.wanted = text, dict(wanted) if wanted else None


class Engine:
    """One run over one recording.

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

    def run(self) -> Iterator[Emission]:
        """Yield the entries of the sandbox in order.

        raises  Stopped
        """
        self._open()
        while self._agenda and self._agenda[0][0] <= self.recording.until:
            act = heapq.heappop(self._agenda)[-1]
            yield from act()
        self._close()

    def fails(self, x: Execution, name: str) -> bool:
        """Return whether this call is to fail, as each does once where that is checked."""
        key = x.cause, x.service, name
        if self.plan.check != "failing" or key in self._failed:
            return False
        self._failed.add(key)
        return True

    # -- the agenda --------------------------------------------------------------------------

    def _at(self, slot: int, phase: int, time: int, act: Callable[[], Iterator[Emission]]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (slot, phase, time, self._planned, act))

    def _open(self) -> None:
        """Plan the inputs, and the executions whose events lie before the fork."""
        plan, recording = self.plan, self.recording
        for entry in recording.entries.values():
            if entry.position not in recording.derived:
                self._plan_input(entry)
        for execution in recording.executions:
            if execution.cause <= recording.base:
                self._plan_execution(execution, execution.cause, 0)
        for position in (*plan.moves, *plan.delays):
            self._taint_effects(position)
        for index, insert in enumerate(plan.inserts):
            time = recording.time_at(insert.after)
            made = plan.inserted(insert, index, time)
            self._at(insert.after, 1, time, partial(self._new_event, made, None, 0, True))

    def _plan_input(self, entry: Recorded) -> None:
        slot, phase, shift = self._moved(entry.position, entry.time, 0)
        self._at(slot, phase, entry.time + shift, lambda: self._input(entry, shift))

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

    # -- inputs ------------------------------------------------------------------------------

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

    # -- entries -----------------------------------------------------------------------------

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

    # -- executions --------------------------------------------------------------------------

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

    def _event(self, ref: int) -> Recorded | Envelope:
        made = self._content.get(ref)
        if made is not None:
            return made
        found = self.recording.at(ref)
        assert found is not None, "an execution follows its event"
        return found

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
        self._told += 1
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
        self._settle(x, outcome, slot, max(time, clock + _after(outcome)), shift, by)

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
            type=said.type, id=_made_id(event, x, n), source=source,
            kind=said.kind, stream=said.stream, time=time,  # type: ignore[arg-type]
            correlation=said.correlation or event.correlation, key=said.key,
            channel=recording.channels.get((source, said.type), ""), data=bytes(said.data),
        )  # fmt: skip
        self._at(slot, 1, time, lambda: self._new_event(made, x.cause, 0, by))

    # -- settling ----------------------------------------------------------------------------

    def _settle(
        self, x: Execution, outcome: Outcome, slot: int, time: int, shift: int, by: bool
    ) -> None:
        """Plan the report of the delivery, and what follows from an outcome that is another."""
        entries = [self.recording.entries[p] for p in x.entries]
        recorded = entries[-1] if entries else None
        failed = outcome.outcome == "failed"
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
            id=_made_id(event, x, "delivery"),
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
        time = max([clock + _after(outcome), *last]) + 1
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

    def _close(self) -> None:
        """Count what was put off beyond the end as not happening here."""
        for position in self.recording.entries:
            if position not in self._placed and position not in self.gone:
                self.gone[position] = bool(self.plan)


def swaps(recording: Recording) -> dict[int, Execution]:
    """Return for neighbours of one service whose events are of different streams their swap.

    Two whose events come of each other keep their order: the first cannot wait for the second.
    """
    found: dict[int, Execution] = {}
    waiting: dict[str, Execution] = {}
    for x in recording.executions:
        before = waiting.pop(x.service, None)
        if before is not None and _may_swap(recording, before, x):
            found[id(before)] = Execution(x.cause, x.service, x.attempt, x.started + 1, slot=x.slot)
        else:
            waiting[x.service] = x
    return found


def _may_swap(recording: Recording, a: Execution, b: Execution) -> bool:
    first, second = recording.at(a.cause), recording.at(b.cause)
    if first is None or second is None or a.cut or b.cut or first.stream == second.stream:
        return False
    ends = max([a.slot, *a.outputs, *a.entries])
    return ends >= b.slot - NEAR and first.correlation != second.correlation


def _made_id(event: Recorded | Envelope, x: Execution, n: int | str) -> str:
    return made_id(event.id, x.service, x.attempt, "twin" if x.twin else "", n)


def _after(outcome: Outcome) -> int:
    return max((s.after for s in outcome.said), default=0)


class _World:
    """What one handler may ask for, and what that says about where its differences come from."""

    def __init__(self, engine: Engine, own: Execution) -> None:
        self.engine, self.own = engine, own
        self.edited = False
        self.keys: list[Any] = []

    def state(self, stream: str) -> bytes:
        return self.engine.states.encoded(stream)

    def call(self, name: str, request: Any) -> Answer | None:
        answers = self.engine.answers
        if self.engine.fails(self.own, name):
            self.edited = True
            return Answer(None, failed=True)
        answer = answers.take(name, request, self.own)
        if answer is not None and answer.position:
            key = answers.key_at[answer.position]
            self.keys.append(key)
            if answer.position not in self.own.outputs and key in self.engine._edited_keys:
                self.edited = True
        return answer
