"""Making a run ready: its code, its recording, its answers, and the engine over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from apps.sandbox.emissions import Emission
from apps.sandbox.engine import Engine
from apps.sandbox.models import Run
from apps.sandbox.outcome import Outcome
from apps.sandbox.plan import Plan
from apps.sandbox.queries import recordings
from apps.sandbox.queries.code import Hosts
from apps.sandbox.queries.forks import original
from apps.sandbox.queries.targets import Outside
from apps.sandbox.recording import Recording


class Prepared:
    """A run ready to go.

    recorded_at  the time its entries are recorded at: the same whenever it runs
    before       returns a stream's state at the fork point, MISSING where it had none
    """

    def __init__(
        self, run: Run, hosts: Hosts, recording: Recording, before: Callable[[str], Any]
    ) -> None:
        self.run, self.hosts, self.recording, self.before = run, hosts, recording, before
        last = next(reversed(recording.entries.values()), None)
        self.recorded_at = last.recorded_at if last else 0
        text = str(run.options.get("stop_when", "")).strip() if not run.check_of else ""
        self.expression = text
        self._expression: Expression | None = read_expression(text) if text else None
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
        answers = Answers(
            recording, policy=self._policy(bare),
            stubs=msgspec.convert(options.get("stubs", []), list[Stub]), skipped=plan.skips,
            changed={p: msgspec.json.decode(raw) for p, raw in plan.changes.items()},
        )  # fmt: skip
        return Engine(
            recording, plan, dict.fromkeys(recording.handlers, hosts), answers, self.before,
            journal=journal,
        )  # fmt: skip

    def _recording(self, hosts: Hosts | None) -> Recording:
        """Return the recording, taken apart by what other hosts handle."""
        mine = self.recording
        if hosts is None or {s: frozenset(t) for s, t in hosts.handlers.items()} == mine.handlers:
            return mine
        return Recording(
            mine.entries.values(), base=mine.base, until=mine.until, handlers=hosts.handlers,
            earlier=mine.earlier,
        )  # fmt: skip

    def _policy(self, bare: bool) -> str:
        if bare or self.run.check_of:
            return LENIENT
        return str(self.run.options.get("missing", "stop"))

    def stops(self, emission: Emission) -> bool:
        """Return whether the run is to stop after an entry: its expression holds."""
        made = emission.envelope
        if self._expression is None or made.kind != "event":
            return False
        names = self._expression.entities
        if names and made.stream not in names and "state" not in self._expression.roots:
            return False
        states = self.engine.states
        try:
            return self._expression.holds(
                state=states.state(made.stream), stream=made.stream,
                event={"type": made.type, "source": made.source, "stream": made.stream,
                       "kind": made.kind, "data": msgspec.json.decode(made.data or b"null")},
                position=self.engine.head, time=isoformat(made.time or 0),
                others={name: states.state(name) for name in names},
            )  # fmt: skip
        except (ExpressionError, msgspec.DecodeError):
            return False


@contextmanager
def prepare(
    run: Run, journal: Sequence[Outcome], *, beat: Callable[[], Any] = lambda: None
) -> Iterator[Prepared]:
    """Make a run ready, and end its children afterwards.

    beat    called between the parts that take long
    raises  BadRecipe
    """
    line = original(run.fork)
    hosts = Hosts(run.code, Outside(line, beat))
    try:
        beat()
        recording = recordings.recording(
            line, base=run.fork.base, until=run.fork.until, handlers=hosts.handlers
        )
        beat()
        before = partial(recordings.before, line, base=run.fork.base)
        prepared = Prepared(run, hosts, recording, before)
        prepared.engine = prepared.make(journal=journal)
        yield prepared
    finally:
        hosts.close()
