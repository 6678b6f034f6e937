"""One trace, assembled from the log, as of any position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from apps.eventlog.envelope import NAME_MAX, Recorded, Undecodable, isoformat, jsonable
from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import log, outlines
from apps.traces import deliveries, problems, timing, typical
from apps.traces.commands.follow import catch_up
from apps.traces.deliveries import Delivery
from apps.traces.problem import Problem
from apps.traces.queries import members, usual
from apps.traces.queries.members import MOST
from apps.traces.timing import Step
from apps.traces.tree import Tree, assemble

TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
FULL = 5000  # events returned whole in one answer
CATCH_UP_S = 0.25  # spent on what the reader has not read yet, before an answer


class View:
    """A trace as of a position. What is later is not in it.

    head  the last position considered; `whole` says whether all events were read
    """

    def __init__(self, line: Line, found: Sequence[Outline], correlation: int | None, upto: int):
        self.line, self.correlation, self.upto = line, correlation, upto
        self.whole = len(found) <= MOST
        self.tree: Tree = assemble(found[:MOST], upto=upto)

    @cached_property
    def name(self) -> str:
        """The correlation id, "" without one."""
        if self.correlation is None:
            return ""
        return outlines.correlation_names([self.correlation]).get(self.correlation, "")

    @cached_property
    def stream(self) -> str:
        """The stream of the root, "" without one."""
        root = self.tree.root
        if root is None or root.stream is None:
            return ""
        return outlines.stream_names([root.stream]).get(root.stream, "")

    @cached_property
    def now(self) -> int | None:
        """The moment it is looked at."""
        return log.time_at(self.line, self.upto)

    @cached_property
    def delivered(self) -> dict[int, list[Delivery]]:
        """What is known of each event's deliveries."""
        return deliveries.of_tree(self.tree)

    @cached_property
    def behind(self) -> dict[str, int]:
        """Clocks that must be wrong, see timing.skews."""
        return timing.skews(self.tree, self.delivered)

    @cached_property
    def span(self) -> tuple[int, int]:
        """When it began and ended."""
        return timing.span(self.tree, self.delivered, self.behind)

    @cached_property
    def steps(self) -> dict[int, Step]:
        """Each event in time."""
        return {p: timing.step(self.tree, p, self.delivered, self.behind) for p in self.tree.order}

    @cached_property
    def usual(self) -> typical.Typical | None:
        """The usual trace of this kind, None for an empty one."""
        root = self.tree.root
        return None if root is None else usual.of_kind(self.line, root.type)

    @cached_property
    def critical(self) -> list[int]:
        """Positions from the root to the step that ends last."""
        return timing.critical_path(self.tree, self.behind)

    @cached_property
    def problems(self) -> list[Problem]:
        """What is wrong, the worst first."""
        return problems.problems(
            self.tree, self.delivered, usual=self.usual, now=self.now, data=self._value,
            behind=self.behind,
        )  # fmt: skip

    @property
    def duration(self) -> int:
        """From beginning to end, µs."""
        return self.span[1] - self.span[0]

    @property
    def shown(self) -> int:
        """How many events it has; answers of outside services do not count."""
        return typical.shown(self.tree)

    @cached_property
    def services(self) -> list[str]:
        """Who takes part, in order of appearance."""
        found: dict[str, None] = {}
        for event in self.tree.events.values():
            if event.kind != "response" and event.source:
                found[deliveries.service(event.source)] = None
        for theirs in self.delivered.values():
            for d in theirs:
                found[deliveries.service(d.subscriber)] = None
        return list(found)

    def entries(self, *, deliveries: bool = False) -> list[int]:
        """Return the positions of its events in order, and those of the reports if they count."""
        found = [p for p, event in self.tree.events.items() if event.kind != "response"]
        if deliveries:
            found += [r.position for reports in self.tree.reports.values() for r in reports]
        return sorted(found)

    def of(self, position: int) -> list[Delivery]:
        """Return what is known of one event's deliveries, also that nothing is."""
        known = self.delivered.get(position, [])
        event = self.tree.events[position]
        expected = self.usual.subscribed(event.type) if self.usual else []
        return [*known, *deliveries.unknown(event, expected, known)]

    def _value(self, position: int) -> Any:
        event = log.event(self.line, position)
        try:
            return event.value() if event is not None else None
        except Undecodable:
            return None


def of_position(line: Line, position: int, *, upto: int) -> View | None:
    """Return the trace an event or a delivery is part of, None where there is no such position."""
    here = next(iter(outlines.at(line, [position])), None)
    if here is None or position > upto:
        return None
    if here.kind == "delivery" and here.cause is not None and here.cause <= upto:
        event = next(iter(outlines.at(line, [here.cause])), None)
        here = event or here
    if here.correlation is not None:
        found = members.of(line, correlation=here.correlation, upto=upto)
        return View(line, found, here.correlation, upto)
    root = outlines.origins(line, [here.position], upto=upto)[here.position]
    return View(line, members.of(line, root=root, upto=upto), None, upto)


def of_correlation(line: Line, name: str, *, upto: int) -> View | None:
    """Return the trace with a correlation id, None where nothing has it by then."""
    number = outlines.correlation_number(line, name)
    if number is None:
        return None
    view = View(line, members.of(line, correlation=number, upto=upto), number, upto)
    return view if view.tree.events else None


def find(line: Line, text: str, *, upto: int) -> View | None:
    """Return the trace named by a position, a correlation id, or the id of an event or a trace.

    In this order. The id of a trace is OpenTelemetry's, 32 hexadecimal digits.
    """
    if "\0" in text or len(text) > NAME_MAX:  # no name of anything
        return None
    number = text.removeprefix("#").replace("\u00a0", "").replace(" ", "")
    numeric = number.isascii() and number.isdigit() and len(number) < 13
    if numeric and (view := of_position(line, int(number), upto=upto)):
        return view
    if view := of_correlation(line, text, upto=upto):
        return view
    if TRACE_ID.fullmatch(text) and (first := members.by_trace_id(line, text)):
        return of_position(line, first, upto=upto)
    for event in log.by_id(line, text):
        if event.position <= upto:
            return of_position(line, event.position, upto=upto)
    return None


def deliveries_of(line: Line, position: int, *, upto: int) -> list[Delivery] | None:
    """Return what is known of an event's deliveries, None where the line has no such event."""
    here = next(iter(outlines.at(line, [position])), None)
    if here is None or position > upto:
        return None
    tree = assemble([here, *members.below(line, position, upto=upto)], upto=upto)
    known = deliveries.of_tree(tree).get(position, [])
    view = of_position(line, position, upto=upto) if here.correlation is not None else None
    expected = view.usual.subscribed(here.type) if view is not None and view.usual else []
    return [*known, *deliveries.unknown(here, expected, known)]


def jsonable_delivery(d: Delivery) -> dict[str, Any]:
    """Return a delivery in the shape of the JSON API."""
    return {
        "position": d.position,
        "subscriber": d.subscriber,
        "attempt": d.attempt,
        "outcome": d.outcome,
        "evidence": d.evidence,
        "earliest": _iso(d.earliest),
        "latest": _iso(d.latest),
        "started_at": _iso(d.started),
        "finished_at": _iso(d.finished),
        "duration_ms": None if d.took is None else d.took / 1000,
        "error": d.error,
    }


def jsonable_span(span: Outline, event: int | None) -> dict[str, Any]:
    """Return what a service did on account of an event."""
    told = timing.of_span(span)
    return {
        "position": span.position, "event": event, "service": deliveries.service(span.source),
        "name": span.type, "started_at": _iso(told.start), "finished_at": _iso(told.end),
        "error": told.error,
    }  # fmt: skip


def jsonable_problem(p: Problem) -> dict[str, Any]:
    """Return a problem in the shape of the JSON API."""
    return {
        "code": p.code, "position": p.position, "subscriber": p.subscriber, "text": p.text,
    }  # fmt: skip


def jsonable_trace(view: View) -> dict[str, Any]:
    """Return a trace in the shape of the JSON API; events beyond FULL come without their data."""
    root = view.tree.root
    positions = sorted(view.tree.events)
    return {
        "root": root.position if root else None,
        "correlation": view.name,
        "events": [jsonable(e) for e in events_of(view, positions[:FULL])],
        "positions": positions,
        "edges": [list(edge) for edge in view.tree.edges],
        "spans": [jsonable_span(s, p) for p in view.tree.spans for s in view.tree.spans[p]][:FULL],
        "deliveries": [{"event": p, **jsonable_delivery(d)} for p in positions for d in view.of(p)],
        "critical_path": view.critical,
        "problems": [jsonable_problem(p) for p in view.problems],
        "started": _iso(view.span[0]) if root else None,
        "duration_ms": view.duration / 1000,
        "skews_ms": {name: us / 1000 for name, us in view.behind.items()},
        "complete": view.whole and len(positions) <= FULL,
    }


def events_of(view: View, positions: Sequence[int]) -> list[Recorded]:
    """Return some of a trace's events whole."""
    return log.events_at(view.line, positions)


@lru_cache(maxsize=20_000)  # a report's times are often the same ones
def _iso(us: int | None) -> str | None:
    return None if us is None else isoformat(us)


def story(view: View, problem: Problem) -> list[str]:
    """Return how an event came to be handled twice: each delivery, and what was published then."""
    event = view.tree.events[problem.position]
    began = view.span[0]
    told = []
    name = problem.subscriber
    theirs = [
        d for d in view.delivered[problem.position] if deliveries.service(d.subscriber) == name
    ]
    for n, d in enumerate(theirs):
        start = d.started if d.started is not None else d.latest or event.time
        again = "again " if n else ""
        told.append(f"{event.type} reached {name} {again}at +{(start - began) / 1e6:.3f} s.")
        made = [
            view.tree.events[c].type
            for c in view.tree.children.get(problem.position, ())
            if view.steps[c].delivery == d and view.tree.events[c].kind != "response"
        ]
        end = f" at +{(d.latest - began) / 1e6:.3f} s" if d.latest is not None else ""
        done = f" and published {', '.join(dict.fromkeys(made))}" if made else ""
        outcome = d.outcome.replace("_", "-")
        told.append(f"It was {outcome}{end}{done}{': ' + d.error if d.error else ''}.")
        if n + 1 < len(theirs) and d.outcome == "handled":
            told.append("Yet it was delivered once more; nothing shows that this was acknowledged.")
    return told


def fresh(line: Line) -> int:
    """Let the reader catch up for a moment, and return the position it has reached."""
    return catch_up(line, budget=CATCH_UP_S)
