"""Assembly against a slow, obvious reference, and the shapes that break careless ones."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.outline import Outline
from apps.traces.tree import Tree, assemble
from tests.factories import NOON


def event(position: int, cause: int | None = None, **fields: object) -> Outline:
    base = {"kind": "event", "type": "A", "source": "/a", "time": NOON + position}
    return Outline(position=position, cause=cause, **(base | fields))  # type: ignore[arg-type]


def report(position: int, cause: int | None) -> Outline:
    return event(position, cause, kind="delivery", type="handled", data=b"{}")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Outline], dict[int, list[int]]]:
    """Draw events that may cause themselves, each other, or be caused by what is not here."""
    size = draw(st.integers(0, 14))
    causes = st.none() | st.integers(1, size + 3)
    kinds = st.sampled_from(["event", "event", "event", "delivery", "span", "progress"])
    data = st.sampled_from([b"{}", b"{}", b'{"joined":"a"}', b'{"joined":"b"}'])
    made = [
        event(
            n,
            draw(causes),
            kind=draw(kinds),
            lost=draw(st.booleans()),
            data=draw(data),
            time=NOON + draw(st.integers(0, 3)),
            spanned=draw(st.booleans()),
        )
        for n in range(1, size + 1)
    ]
    links = draw(
        st.dictionaries(
            st.integers(1, size + 1), st.lists(st.integers(1, size + 3), max_size=3), max_size=4
        )
    )
    return made, links


def sources(there: dict[int, Outline], start: int | None) -> list[int]:
    """Return the events that something names as its cause, through deliveries and spans."""
    found: list[int] = []
    seen: set[int] = set()

    def look(p: int | None) -> None:
        if p not in there or p in seen or p is None:
            return
        seen.add(p)
        here = there[p]
        if here.kind == "event":
            found.append(p)
        elif here.kind != "progress":
            joined = [
                q for q, o in sorted(there.items())
                if here.data != b"{}" and o.data == here.data and o.kind in ("delivery", "span")
            ]  # fmt: skip
            members = [p, *(q for q in joined if q != p)]
            seen.update(members)
            for q in members:
                look(there[q].cause)

    look(start)
    return found


def nested(o: Outline, there: dict[int, Outline]) -> bool:
    """Return whether it is the sending of what another sends already."""
    outer = there.get(o.cause or 0)
    if outer is None or not (o.kind == outer.kind == "event" and o.spanned and outer.spanned):
        return False
    return outer.time < o.time or (outer.time == o.time and outer.position > o.position)


def reference(
    outlines: list[Outline], links: dict[int, list[int]], upto: int
) -> tuple[dict[int, int | None], set[tuple[int, int]]]:
    """Return each event's place below another one, and all edges, the slow way."""
    there = {o.position: o for o in outlines if o.position <= upto}
    there |= {p: o._replace(kind="span") for p, o in there.items() if nested(o, there)}
    events = {p: o for p, o in there.items() if o.kind not in ("delivery", "span", "progress")}
    edges: set[tuple[int, int]] = set()
    parent: dict[int, int | None] = {}
    for p, o in events.items():
        causes = [c for c in [*sources(there, o.cause), *links.get(p, [])] if c in events]
        edges |= {(c, p) for c in causes if c is not None}
        parent[p] = causes[0] if causes else None
    for p in sorted(events):
        way = [p]
        while (above := parent[way[-1]]) is not None and above not in way:
            way.append(above)
        if above is not None:  # the way ends in a circle: cut it above its first event
            parent[min(way[way.index(above) :])] = None
    return parent, edges


@given(graphs(), st.integers(0, 16))
def test_it_equals_the_reference_as_of_any_position(
    graph: tuple[list[Outline], dict[int, list[int]]], upto: int
) -> None:
    outlines, links = graph
    tree = assemble(outlines, links=links, upto=upto)
    parent, edges = reference(outlines, links, upto)

    assert {p: tree.parent.get(p) for p in tree.events} == parent
    assert set(tree.edges) == edges
    assert sorted(tree.order) == sorted(tree.events)
    assert sorted(tree.roots) == sorted(p for p, above in parent.items() if above is None)
    for p, above in parent.items():
        assert tree.depth[p] == (0 if above is None else tree.depth[above] + 1)
        assert above is None or tree.order.index(above) < tree.order.index(p)


@given(graphs(), st.integers(0, 16))
def test_as_of_equals_the_log_cut_there(
    graph: tuple[list[Outline], dict[int, list[int]]], upto: int
) -> None:
    outlines, links = graph
    cut = [
        o._replace(cause=None, lost=True) if o.cause is not None and o.cause > upto else o
        for o in outlines
        if o.position <= upto
    ]
    now, then = assemble(outlines, links=links, upto=upto), assemble(cut, links=links)
    assert (now.order, now.parent, now.roots, now.lost) == (
        then.order, then.parent, then.roots, then.lost
    )  # fmt: skip
    assert {p: [r.position for r in rs] for p, rs in now.reports.items()} == {
        p: [r.position for r in rs] for p, rs in then.reports.items()
    }


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_makes_no_difference(
    graph: tuple[list[Outline], dict[int, list[int]]], random: Random
) -> None:
    outlines, links = graph
    shuffled = list(outlines)
    random.shuffle(shuffled)
    assert assemble(shuffled, links=links) == assemble(outlines, links=links)


def test_an_event_that_causes_itself_is_a_root() -> None:
    tree = assemble([event(1, 1), event(2, 1)])
    assert (tree.roots, tree.order, tree.loops) == ([1], [1, 2], [(1, 1)])


def test_causes_that_are_missing_or_of_another_trace_are_told_apart() -> None:
    tree = assemble([event(5), event(6, 2), event(7, None, lost=True)])
    assert (tree.roots, tree.foreign, tree.lost) == ([5, 6, 7], {6: 2}, {7})


def test_deliveries_belong_to_their_event_and_strays_to_none() -> None:
    tree = assemble([report(1, 3), event(3), report(4, 3), report(5, 99), report(6, None)])
    assert [r.position for r in tree.reports[3]] == [1, 4]
    assert sorted(r.position for r in tree.stray) == [5, 6]


def test_what_a_delivery_caused_its_event_caused() -> None:
    tree = assemble([event(1), report(2, 1), event(3, 2)])
    assert tree.parent == {3: 1}


@pytest.mark.parametrize("shape", ["chain", "star", "circle"])
def test_large_shapes_are_ordinary(shape: str) -> None:
    size = 100_000 if shape == "star" else 50_000
    causes = {
        "chain": lambda n: n - 1 or None,
        "star": lambda n: 1 if n > 1 else None,
        "circle": lambda n: n - 1 or size,
    }[shape]
    outlines = [event(n, causes(n)) for n in range(1, size + 1)]
    begun = time.monotonic()

    tree: Tree = assemble(outlines)

    assert time.monotonic() - begun < 5
    assert tree.roots == [1]
    assert len(tree.order) == size
    assert len(tree.below(1)) == size - 1
    assert tree.depth[size] == (1 if shape == "star" else size - 1)
