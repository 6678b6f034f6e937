"""Redux DevTools' lifted actions, one after the other, over our edits and over a slow reference.

The reference is the lifted reducer in short: the ids of the actions in their order, those that are
skipped, and every state computed anew from them. Over the edits, a toggle is a `skip` with its
switch, a reorder is a `move`, a sweep leaves the skipped out of the history, an import reads the
recipe as it was written, and a jump looks at the state after some of the entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Envelope, Recorded
from apps.projections.exact import MISSING
from apps.sandbox.edits import read
from apps.sandbox.plan import Plan
from evdebug.sdk import Context, Event, New, subscriber, subscriptions
from tests.factories import NOON
from tests.sandbox.history import Bench, recorded
from tests.sandbox.test_edits import STREAMS, Said, folded, logs

Log = tuple[Recorded, ...]


class Lifted:
    """The reference."""

    def __init__(self, log: Log) -> None:
        self.by = {e.position: (e.stream, e.value()) for e in log}
        self.recorded = list(self.by)
        self.staged = list(self.by)
        self.skipped: set[int] = set()

    def toggle(self, one: int) -> None:
        self.skipped ^= {one}

    def reorder(self, one: int, before: int | None) -> None:
        """Put one of the recorded order before another; at the end where that is not there."""
        self.staged = [p for p in self.recorded if p != one]
        at = self.staged.index(before) if before in self.staged else len(self.staged)
        self.staged.insert(at, one)

    def sweep(self) -> None:
        self.staged = [p for p in self.staged if p not in self.skipped]
        self.recorded = [p for p in self.recorded if p not in self.skipped]
        self.skipped = set()

    def said(self) -> Said:
        return [self.by[p] for p in self.staged if p not in self.skipped]


class Ours:
    """The same by edits of a history."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.skips: dict[int, bool] = {}
        self.move: tuple[int, int] | None = None  # position, after

    def edits(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = [
            {"op": "skip", "position": p, "on": on} for p, on in self.skips.items()
        ]
        if self.move:
            one, after = self.move
            made.append({"op": "move", "position": one, "after": after,
                         "on": not self.skips.get(one, False)})  # fmt: skip
        return made

    def toggle(self, one: int) -> None:
        self.skips[one] = not self.skips.get(one, False)

    def reorder(self, one: int, before: int | None) -> None:
        others = [0, *(e.position for e in self.log if e.position != one)]
        self.move = one, others[others.index(before) - 1] if before in others else others[-1]

    def sweep(self) -> None:
        gone = {p for p, on in self.skips.items() if on}
        self.log = tuple(e for e in self.log if e.position not in gone)
        self.skips = {}
        if self.move:
            one, after = self.move
            left = [0, *(e.position for e in self.log if e.position <= after)]
            self.move = None if one in gone else (one, left[-1])

    def bench(self) -> Bench:
        written = msgspec.json.encode(self.edits())
        return Bench(self.log, plan=Plan(read(msgspec.json.decode(written))), services={})


def agree(ours: Ours, lifted: Lifted) -> None:
    """Jump to every entry of a run: it is what the reference says, and so are the states."""
    bench, wanted, sofar = ours.bench(), lifted.said(), list[Any]()
    for e in bench.engine.run():
        sofar.append((e.envelope.stream, msgspec.json.decode(e.envelope.data)))
        states = folded(wanted[: len(sofar)])
        assert bench.states(*STREAMS) == {s: states.get(s, MISSING) for s in STREAMS}
    assert sofar == wanted


@given(st.data())
def test_any_of_them_in_any_order(data: st.DataObject) -> None:
    log = data.draw(logs())
    ours, lifted = Ours(log), Lifted(log)
    for _ in range(data.draw(st.integers(1, 6))):
        there = st.sampled_from(lifted.recorded)
        act = data.draw(st.sampled_from(["toggle", "toggle", "reorder", "sweep"]))
        if act == "toggle":
            one = data.draw(there)
            ours.toggle(one)
            lifted.toggle(one)
        elif act == "reorder":
            one, before = data.draw(there), data.draw(there | st.none())
            before = None if before == one else before
            ours.reorder(one, before)
            lifted.reorder(one, before)
        elif lifted.said():
            ours.sweep()
            lifted.sweep()
        agree(ours, lifted)


@subscriber("copy", to="Set")
def copy(event: Event, ctx: Context) -> Iterator[New]:
    if event.data["broken"]:
        raise ValueError("broken")
    yield New("Copied", f"copy-{event.data['n']}", {"n": event.data["n"]})


class Module:
    copy = copy


@given(st.sets(st.integers(0, 6)), st.sets(st.integers(0, 6)))
def test_an_error_goes_with_the_action_that_led_to_it(broken: set[int], off: set[int]) -> None:
    log = tuple(recorded(
        Envelope(type="Set", id=f"e{n}", source="/s", stream="a", time=NOON + n * 9_000_000,
                 data=msgspec.json.encode({"n": n, "broken": n in broken}))
        for n in range(8)
    ))  # fmt: skip
    edits = read([{"op": "skip", "position": n + 1} for n in sorted(off)])
    bench = Bench(log, plan=Plan(edits), services={"copy": subscriptions(Module)})
    copied = [
        msgspec.json.decode(e.envelope.data)["n"] for e in bench.run()
        if e.envelope.type == "Copied"
    ]  # fmt: skip
    # The last one's copy would come after the end of the stretch.
    assert [n for n in copied if n < 7] == [n for n in range(7) if n not in broken | off]
    failures = bench.engine.failures.rows()
    assert bool(failures) is bool(broken - off)
    assert all("broken" in row["error"] for row in failures)
