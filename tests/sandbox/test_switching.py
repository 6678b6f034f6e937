"""What edits do to states, told without a run: always what a run comes to."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Envelope, Kind, Recorded
from apps.sandbox.edits import read
from apps.sandbox.plan import Plan
from apps.sandbox.switching import EVERY, Switching
from tests.factories import NOON
from tests.sandbox.history import Bench, recorded
from tests.sandbox.test_edits import STREAMS, recipes


@st.composite
def histories(draw: st.DrawFn) -> tuple[Recorded, ...]:
    """Events, some caused by others, and deliveries of them."""
    made: list[Envelope] = []
    kinds: list[Kind] = ["event", "event", "command", "delivery"]
    for n in range(draw(st.integers(1, 14))):
        cause = draw(st.integers(1, n)) if n and draw(st.booleans()) else None
        kind = draw(st.sampled_from(kinds)) if cause else "event"
        data = draw(st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9) | st.none()))
        time = NOON + draw(st.integers(0, 3)) * 1000 + n * 1_000_000
        made.append(Envelope(
            type="handled" if kind == "delivery" else "Set", id=f"e{n}", source="/s", kind=kind,
            stream="" if kind == "delivery" else draw(st.sampled_from(STREAMS)), time=time,
            causation=made[cause - 1].id if cause else "",
            causation_source="/s" if cause else "", data=msgspec.json.encode(data),
        ))  # fmt: skip
    return tuple(recorded(made))


def ran(log: tuple[Recorded, ...], edits: Any, base: int, drop: bool) -> dict[str, Any]:
    bench = Bench(log, base=base, plan=Plan(edits, drop_orphans=drop), services={})
    bench.run()
    return bench.states(*STREAMS)


@given(st.data(), st.booleans())
def test_it_is_what_a_run_comes_to(data: st.DataObject, drop: bool) -> None:
    log = data.draw(histories())
    base = data.draw(st.integers(0, len(log) - 1))
    deliveries = {e.position for e in log if e.kind == "delivery"}
    edits = [
        e for e in read(data.draw(recipes(log)))
        if (e.position > base and not (e.op == "change" and e.position in deliveries))
        or (e.op == "insert" and e.after >= base)
    ]  # fmt: skip
    edits = [e for e in edits if e.op != "move" or e.after >= base]
    bench = Bench(log, base=base, services={})
    switching = Switching(bench.recording, bench.before, drop_orphans=drop)
    for some in (edits, edits[:1], [], edits):  # and what was kept does no harm
        wanted = ran(log, some, base, drop)
        found = switching.states(some)
        assert {s: found.get(s, switching.recorded(s)) for s in STREAMS} == wanted


@given(st.integers(1, 3 * EVERY), st.data())
def test_long_streams_are_folded_from_a_state_on_the_way(count: int, data: st.DataObject) -> None:
    log = tuple(recorded(
        Envelope(type="Set", id=f"{n}", source="/s", stream="a", time=NOON + n,
                 data=msgspec.json.encode({f"f{n % 5}": n}))
        for n in range(count)
    ))  # fmt: skip
    bench = Bench(log, services={})
    switching = Switching(bench.recording, bench.before)
    for position in data.draw(st.lists(st.integers(1, count), min_size=1, max_size=4)):
        edits = read([{"op": "skip", "position": position}])
        assert switching.states(edits) == {"a": ran(log, edits, 0, False)["a"]}
