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
from collections.abc import Iterator
from functools import partial

from apps.sandbox.emissions import Emission
from apps.sandbox.executing import Executions


class Engine(Executions):
    """One run over one recording; `Ledger` says what it is made with."""

    def run(self) -> Iterator[Emission]:
        """Yield the entries of the sandbox in order.

        raises  Stopped
        """
        self._open()
        while self._agenda and self._agenda[0][0] <= self.recording.until:
            act = heapq.heappop(self._agenda)[-1]
            yield from act()
        self._close()

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

    def _close(self) -> None:
        """Count what was put off beyond the end as not happening here."""
        for position in self.recording.entries:
            if position not in self._placed and position not in self.gone:
                self.gone[position] = bool(self.plan)
