"""A trace as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from apps.traces.deliveries import Delivery, service
from apps.traces.problem import Problem
from apps.traces.timing import Step, of_span
from apps.traces.tree import Tree
from apps.traces.words import grouped, lasting

INDENT = 40  # levels drawn; deeper ones say how deep they are
WORDS = {"dead_lettered": "dead-lettered", "skipped": "skipped as duplicate"}


def lines_of(
    tree: Tree,
    delivered: Mapping[int, Sequence[Delivery]],
    steps: Mapping[int, Step],
    problems: Sequence[Problem],
) -> Iterator[str]:
    """Yield the problems, then a line per event, delivery and span, indented by depth."""
    for problem in problems:
        yield f"! {plain(problem.text)}"
    began = min((s.published for s in steps.values()), default=0)
    for position in tree.order:
        event, step, depth = tree.events[position], steps[position], tree.depth[position]
        shift = "  " * min(depth, INDENT) + (f"[{depth}] " if depth > INDENT else "")
        after = f"+{lasting(step.published - began)}"
        took = f", {lasting(step.gap)} after its cause" if position in tree.parent else ""
        odd = " (its cause is not in the log)" if position in tree.lost else ""
        yield plain(
            f"{shift}#{grouped(position)} {event.type} by {service(event.source)}"
            f" {after}{took}{odd}"
        )
        for d in delivered.get(position, ()):
            error = f": {d.error}" if d.error else ""
            again = f", attempt {d.attempt}" if d.attempt > 1 else ""
            yield plain(
                f"{shift}  → {d.subscriber} {WORDS.get(d.outcome, d.outcome)}{again}"
                f" ({d.evidence}){error}"
            )
        for span in tree.spans.get(position, ()):
            told = of_span(span)
            error = f": {told.error}" if told.error else ""
            yield plain(
                f"{shift}  · {service(span.source)} {span.type}"
                f" {lasting(told.end - told.start)}{error}"
            )


def plain(text: str) -> str:
    """Return a text a terminal cannot be steered with: one line, nothing invisible."""
    return "".join(
        c if c.isprintable() or c == "\u00a0" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
