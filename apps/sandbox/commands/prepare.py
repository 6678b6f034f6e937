"""Making a run ready: its code, its recording, its answers, and the engine over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from apps.eventlog.envelope import isoformat
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from apps.projections.queries.finding import read_expression
from apps.sandbox import edits as recipes
from apps.sandbox.answers import LENIENT, Answers, Stub
from apps.sandbox.edits import Edit
from apps.sandbox.emissions import Emission
from apps.sandbox.engine import Engine
from apps.sandbox.models import Run
from apps.sandbox.outcome import Outcome
from apps.sandbox.plan import Plan
from apps.sandbox.queries import code as codes
from apps.sandbox.queries import recordings
from apps.sandbox.queries.code import Hosts
from apps.sandbox.queries.forks import original
from apps.sandbox.queries.targets import Copies, Outside
from apps.sandbox.recording import Recording
from apps.sandbox.remembering import Remembering

FAULTS = {
    "differs": "something comes out otherwise", "unexpected": "something differs unexpectedly",
    "failing": "a handler fails that did not",
}  # fmt: skip


class Prepared:
    """A run ready to go.

    recorded_at  the time its entries are recorded at: the same whenever it runs
    condition    what is wrong where the run is to be shrunk, in words; `fault` if no expression
    before       returns a stream's state at the fork point, MISSING where it had none
    """

    def __init__(
        self, run: Run, hosts: Hosts, recording: Recording, before: Callable[[str], Any]
    ) -> None:
        self.run, self.hosts, self.recording, self.before = run, hosts, recording, before
        last = next(reversed(recording.entries.values()), None)
        self.recorded_at = last.recorded_at if last else 0
        shrinks = run.check_of == "shrink"
        text = ""
        if shrinks or not run.check_of:
            text = str(run.options.get("stop_when", "")).strip()
        self.expression = text
        self._expression: Expression | None = read_expression(text) if text else None
        self.fault = str(run.options.get("fails", "differs")) if shrinks and not text else ""
        self.condition = text or FAULTS.get(self.fault, "")
        self._remembering: dict[int, Remembering] = {}  # by the host's id
        self._plain: Hosts | None = None
        self.self_check: dict[str, Any] | None = None
        self.engine = self.make()

    def make(
        self, *, bare: bool = False, journal: Sequence[Outcome] = (), hosts: Hosts | None = None
    ) -> Engine:
        """Return an engine; a bare one changes nothing.

        hosts  run the handlers instead; what they have none for is input
        """
        run, options = self.run, self.run.options
        edits = [] if bare or run.check_of else recipes.read(run.edits)
        plan = Plan(
            edits, other_code=() if bare else self.hosts.other,
            drop_orphans=bool(options.get("drop_orphans")) and not bare,
            check="" if bare else run.check_of,
        )  # fmt: skip
        recording, hosts = self._recording(hosts), hosts or self.hosts
        answers = self._answers(recording, plan, self._policy(bare))
        host = self._remembered(hosts) if self._is_twofold else hosts
        return Engine(
            recording, plan, dict.fromkeys(recording.handlers, host), answers, self.before,
            journal=journal,
        )  # fmt: skip

    @property
    def _is_twofold(self) -> bool:
        """Whether a run without the edits comes before the one with them."""
        edited = any(edit.get("on", True) for edit in self.run.edits)
        return (edited or bool(self.run.check_of)) and not self.hosts.other

    def _remembered(self, hosts: Hosts) -> Remembering:
        """Return a host that does again only what would be another than before."""
        return self._remembering.setdefault(id(hosts), Remembering(hosts))

    def _recording(self, hosts: Hosts | None) -> Recording:
        """Return the recording, taken apart by what other hosts handle."""
        mine = self.recording
        if hosts is None or {s: frozenset(t) for s, t in hosts.handlers.items()} == mine.handlers:
            return mine
        return self._of(mine, hosts.handlers)

    def _of(self, mine: Recording, handlers: Mapping[str, Iterable[str]]) -> Recording:
        return Recording(
            mine.entries.values(), base=mine.base, until=mine.until, handlers=handlers,
            earlier=mine.earlier,
        )  # fmt: skip

    def close(self) -> None:
        """End what was started for it, but for its hosts."""
        if self._plain is not None:
            self._plain.close()

    def trial(
        self, recording: Recording, edits: list[Edit], *, bare: bool = False
    ) -> Engine:  # fmt: skip
        """Return an engine over a part of the recording, with some of the edits.

        What handlers did in one trial is not done again in the next where it would be the same.
        bare  with the code as it is on disk
        """
        hosts = self._plain_hosts() if bare else self.hosts
        host = self._remembered(hosts)
        plan = Plan(
            edits, other_code=() if bare else hosts.other,
            drop_orphans=bool(self.run.options.get("drop_orphans")),
        )  # fmt: skip
        mine = recording.handlers
        known = {s: frozenset(hosts.handlers[s]) for s in mine if s in hosts.handlers}
        if known != mine:
            recording = self._of(recording, known)
        return Engine(
            recording, plan, dict.fromkeys(recording.handlers, host),
            self._answers(recording, plan, LENIENT), self.before,
        )  # fmt: skip

    def _plain_hosts(self) -> Hosts:
        """Return what runs the code as it is on disk."""
        if self._plain is None:
            recorded = {s: c for s, c in self.run.code.items() if c == codes.RECORDED}
            self._plain = Hosts(recorded) if self.hosts.other else self.hosts
        return self._plain

    def _answers(self, recording: Recording, plan: Plan, policy: str) -> Answers:
        return Answers(
            recording, policy=policy, skipped=plan.skips,
            stubs=msgspec.convert(self.run.options.get("stubs", []), list[Stub]),
            changed={p: msgspec.json.decode(raw) for p, raw in plan.changes.items()},
        )  # fmt: skip

    def _policy(self, bare: bool) -> str:
        if bare or self.run.check_of:
            return LENIENT
        return str(self.run.options.get("missing", "stop"))

    def stops(self, emission: Emission, engine: Engine | None = None) -> bool:
        """Return whether the run is to stop after an entry: its expression holds.

        engine  whose entry it is, where it is not this one's
        """
        engine = engine or self.engine
        made = emission.envelope
        if self._expression is None or made.kind != "event":
            return False
        names = self._expression.entities
        if names and made.stream not in names and "state" not in self._expression.roots:
            return False
        states = engine.states
        try:
            return self._expression.holds(
                state=states.state(made.stream), stream=made.stream,
                event={"type": made.type, "source": made.source, "stream": made.stream,
                       "kind": made.kind, "data": msgspec.json.decode(made.data or b"null")},
                position=engine.head, time=isoformat(made.time or 0),
                others={name: states.state(name) for name in names},
            )  # fmt: skip
        except (ExpressionError, msgspec.DecodeError):
            return False


@contextmanager
def prepare(
    run: Run, journal: Sequence[Outcome], *, beat: Callable[[], Any] = lambda: None,
    copies: Copies | None = None,
) -> Iterator[Prepared]:  # fmt: skip
    """Make a run ready, and end its children afterwards.

    beat    called between the parts that take long
    copies  stand for services that run outside, instead of the copies themselves
    raises  BadRecipe
    """
    line = original(run.fork)
    hosts = Hosts(run.code, copies or Outside(line, beat))
    try:
        beat()
        recording = recordings.recording(
            line, base=run.fork.base, until=run.fork.until, handlers=hosts.handlers
        )
        beat()
        before = partial(recordings.before, line, base=run.fork.base)
        prepared = Prepared(run, hosts, recording, before)
        prepared.engine = prepared.make(journal=journal)
        try:
            yield prepared
        finally:
            prepared.close()
    finally:
        hosts.close()
