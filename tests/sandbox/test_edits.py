"""Edits as history: what holds of Redux DevTools' lifted actions holds here, beside a slow model.

toggle: an edit that is off was never there, and on and off again is nothing · reorder: move ·
import: a recipe is values, read back as it was written · sweep: skipping is as if the events had
not been recorded · jump: the state at any entry of a sandbox is the fold up to there · error in
the middle: a handler that fails for one event leaves the others alone
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Envelope, Recorded
from apps.projections import merge
from apps.projections.exact import MISSING
from apps.sandbox.edits import BadEdit, check, plain, read
from apps.sandbox.plan import Plan
from evdebug.sdk import Context, Event, New, subscriber, subscriptions
from tests.factories import NOON
from tests.sandbox.history import Bench, recorded

STREAMS = ("a", "b", "c")
Said = list[tuple[str, Any]]  # stream, data


@st.composite
def logs(draw: st.DrawFn) -> tuple[Recorded, ...]:
    count = draw(st.integers(1, 12))
    made = []
    for n in range(count):
        stream = draw(st.sampled_from(STREAMS))
        data = draw(st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9) | st.none()))
        made.append(
            Envelope(
                type="Set", id=f"e{n}", source="/s", stream=stream, time=NOON + n * 1_000_000,
                data=msgspec.json.encode(data),
            )
        )  # fmt: skip
    return tuple(recorded(made))


@st.composite
def recipes(draw: st.DrawFn, log: tuple[Recorded, ...]) -> list[dict[str, Any]]:
    """Edits that fit together: at most one to a position."""
    places = draw(st.lists(st.integers(1, len(log)), unique=True, max_size=5))
    return [draw(_edit(position, len(log))) for position in places]


def _edit(position: int, last: int) -> st.SearchStrategy[dict[str, Any]]:
    at = {"position": position}
    after = st.integers(0, last).filter(lambda n: n != position)
    return st.one_of(
        st.just({"op": "skip", **at}),
        st.just({"op": "repeat", **at}),
        st.integers(0, 9).map(lambda n: {"op": "change", **at, "data": {"x": n}}),
        after.map(lambda n: {"op": "move", **at, "after": n}),
        st.integers(1, 9).map(lambda n: {"op": "delay", **at, "ms": n * 1000 + 500}),
        st.integers(0, 9).map(
            lambda n: {"op": "insert", "after": position,
                       "event": {"type": "Set", "stream": "a", "data": {"y": n}}}
        ),
    )  # fmt: skip


def slow(log: tuple[Recorded, ...], edits: list[dict[str, Any]]) -> Said:
    """Apply edits the simple way: every entry gets a place, and all are sorted by it."""
    by = {e["position"]: e for e in edits if e["op"] != "insert"}
    placed: list[tuple[tuple[float, int, float, int], str, Any]] = []
    for n, entry in enumerate(log):
        edit = by.get(entry.position, {"op": ""})
        data, place = entry.value(), (entry.position, 0, entry.time, n)
        if edit["op"] == "skip":
            continue
        if edit["op"] == "change":
            data = edit["data"]
        if edit["op"] == "move":
            place = (edit["after"], 1, entry.time + _time(log, edit["after"]) - entry.time, n)
        if edit["op"] == "delay":
            late = entry.time + edit["ms"] * 1000
            before = [e.position for e in log if e.time <= late]
            place = (max(before), 1, late, n)
        placed.append((place, entry.stream, data))
        if edit["op"] == "repeat":
            placed.append(((*place[:3], place[3] + 0.5), entry.stream, data))  # type: ignore[arg-type]
    inserts = [e for e in edits if e["op"] == "insert"]
    for n, edit in enumerate(inserts):
        place = (edit["after"], 1, _time(log, edit["after"]), 1000 + n)
        placed.append((place, edit["event"]["stream"], edit["event"]["data"]))
    return [(stream, data) for _, stream, data in sorted(placed, key=lambda each: each[0])]


def _time(log: tuple[Recorded, ...], position: int) -> int:
    return log[max(0, position - 1)].time


def quick(log: tuple[Recorded, ...], edits: list[dict[str, Any]]) -> Said:
    out = Bench(log, plan=Plan(read(edits)), services={}).run()
    return [(e.envelope.stream, msgspec.json.decode(e.envelope.data)) for e in out]


def folded(said: Said) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for stream, data in said:
        states[stream] = merge.apply(states.get(stream, MISSING), data)
    return states


@given(st.data())
def test_edits_do_what_the_slow_model_does(data: st.DataObject) -> None:
    log = data.draw(logs())
    edits = data.draw(recipes(log))
    assert quick(log, edits) == slow(log, edits)


@given(st.data())
def test_toggling_an_edit_off_is_as_if_it_was_never_there(data: st.DataObject) -> None:
    log = data.draw(logs())
    edits = data.draw(recipes(log))
    off = data.draw(st.sets(st.sampled_from(range(len(edits)))) if edits else st.just(set()))
    toggled = [{**e, "on": n not in off} for n, e in enumerate(edits)]
    assert quick(log, toggled) == quick(log, [e for n, e in enumerate(edits) if n not in off])


@given(st.data())
def test_a_recipe_is_read_back_as_it_was_written(data: st.DataObject) -> None:
    edits = data.draw(recipes(data.draw(logs())))
    assert [plain(e) for e in read(edits)] == edits
    assert [plain(e) for e in read(msgspec.json.decode(msgspec.json.encode(edits)))] == edits


@given(st.data())
def test_sweeping_what_is_skipped_changes_nothing_more(data: st.DataObject) -> None:
    log = data.draw(logs())
    gone = data.draw(st.sets(st.integers(1, len(log))))
    skipped = quick(log, [{"op": "skip", "position": p} for p in sorted(gone)])
    assert (
        skipped == quick(tuple(e for e in log if e.position not in gone) or (), [])
        if (len(gone) < len(log))
        else skipped == []
    )


@given(st.data())
def test_jumping_anywhere_gives_the_fold_up_to_there(data: st.DataObject) -> None:
    log = data.draw(logs())
    bench = Bench(log, plan=Plan(read(data.draw(recipes(log)))), services={})
    sofar: Said = []
    for e in bench.engine.run():
        sofar.append((e.envelope.stream, msgspec.json.decode(e.envelope.data)))
        assert bench.states(*STREAMS) == {
            s: folded(sofar).get(s, MISSING) for s in STREAMS
        }  # fmt: skip


@given(st.sets(st.integers(0, 7), max_size=4))
def test_an_error_in_the_middle_leaves_the_others_alone(broken: set[int]) -> None:
    @subscriber("copy", to="Set")
    def copy(event: Event, ctx: Context) -> Iterator[New]:
        if event.data["n"] in broken:
            raise ValueError("broken")
        yield New("Copied", f"copy-{event.data['n']}", {"n": event.data["n"]})

    class Module:
        pass

    Module.copy = copy  # type: ignore[attr-defined]
    log = tuple(recorded(
        Envelope(type="Set", id=f"e{n}", source="/s", stream="a", time=NOON + n * 1_000_000,
                 data=msgspec.json.encode({"n": n}))
        for n in range(8)
    ))  # fmt: skip
    out = Bench(log, services={"copy": subscriptions(Module)}).run()
    copied = [msgspec.json.decode(e.envelope.data)["n"] for e in out if e.envelope.type == "Copied"]
    # The last one's copy would come after the end of the stretch.
    assert [n for n in copied if n < 7] == [n for n in range(7) if n not in broken]


@given(st.lists(st.tuples(st.sampled_from(["skip", "repeat", "delay", "move"]),
                          st.integers(-2, 9)), max_size=6))  # fmt: skip
def test_what_is_accepted_can_be_run_and_what_is_not_says_which(
    made: list[tuple[str, int]],
) -> None:
    log = tuple(recorded(
        Envelope(type="Set", id=f"e{n}", source="/s", stream="a", time=NOON + n, data=b"{}")
        for n in range(5)
    ))  # fmt: skip
    more = {"delay": {"ms": 5}, "move": {"after": 2}}
    edits = [{"op": op, "position": p, **more.get(op, {})} for op, p in made]
    by = {e.position: e for e in log}
    problem: BadEdit | None = None
    try:
        check(read(edits), base=0, until=5, at=by.get)
    except BadEdit as error:
        problem = error
    if problem is None:
        assert isinstance(quick(log, edits), list)
        return
    assert 0 <= problem.index < len(edits)
    assert str(problem).startswith(f"Edit {problem.index + 1}: ")
