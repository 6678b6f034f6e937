"""Who caused what: the events of a trace as a tree, with the edges that do not fit into one.

An event hangs below its cause; further causes are edges besides. Nothing here recurses: a chain
may be as long as the trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apps.eventlog.outline import Outline
from apps.traces.carried import LINK, Carried


@dataclass(slots=True)
class Tree:
    """The events of a trace. All is keyed by position.

    order    every event once, causes before their effects, effects by position
    lost     events whose cause is not in the log
    foreign  events whose cause is in the log but not of this trace -> that cause
    loops    edges (cause, effect) that would close a circle; the effect is a root
    reports  what was reported of an event's deliveries
    spans    what services did on account of an event, in order of time
    """

    events: dict[int, Outline] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    depth: dict[int, int] = field(default_factory=dict)
    edges: list[tuple[int, int]] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    foreign: dict[int, int] = field(default_factory=dict)
    loops: list[tuple[int, int]] = field(default_factory=list)
    reports: dict[int, list[Outline]] = field(default_factory=dict)
    stray: list[Outline] = field(default_factory=list)  # deliveries of events that are not here
    spans: dict[int, list[Outline]] = field(default_factory=dict)
    around: list[Outline] = field(default_factory=list)  # spans that descend from no event

    @property
    def root(self) -> Outline | None:
        """The event the trace is named after: the first root, None of an empty trace."""
        return self.events[self.roots[0]] if self.roots else None

    def ancestors(self, position: int) -> list[int]:
        """Return the way from an event up to its root, the event first."""
        way = [position]
        while (above := self.parent.get(way[-1])) is not None:
            way.append(above)
        return way

    def below(self, position: int) -> list[int]:
        """Return all that descends from an event, in order of the tree."""
        found, stack = [], list(reversed(self.children.get(position, ())))
        while stack:
            here = stack.pop()
            found.append(here)
            stack += reversed(self.children.get(here, ()))
        return found


def assemble(
    outlines: Iterable[Outline],
    *,
    links: Mapping[int, Iterable[int]] | None = None,
    upto: int | None = None,
) -> Tree:
    """Return the tree of some events and deliveries, whatever the order they come in.

    links  further causes of an event
    upto   as of this position: what is later is left out, also as a cause
    """
    tree = Tree()
    events = tree.events
    carriers: dict[int, Outline] = {}  # deliveries and spans: what they cause, their cause causes
    for outline in sorted(outlines):
        if upto is not None and outline.position > upto:
            break
        if outline.kind in ("delivery", "span"):
            carriers[outline.position] = outline
        elif outline.kind != "progress":
            events[outline.position] = outline
    for position in [p for p, o in events.items() if o.spanned and _is_nested(o, events)]:
        carriers[position] = events.pop(position)
    carried = Carried(carriers, events)
    _sort(tree, carried)
    _hang(tree, links or {}, upto, carried)
    _walk(tree)
    return tree


def _is_nested(event: Outline, events: Mapping[int, Outline]) -> bool:
    """Return whether a span of sending lies within another one: the same message, told twice.

    An instrumentation of a client and one of what it is built on both tell of it.
    """
    outer = events.get(event.cause) if event.cause is not None else None
    return (
        outer is not None and outer.spanned and outer.source == event.source
        # By time and never round in a circle; of one moment, the inner one was reported first.
        and (outer.time, -outer.position) < (event.time, -event.position)
    )  # fmt: skip


def _sort(tree: Tree, carried: Carried) -> None:
    """Put each delivery and each span to the event it is about."""
    for position, outline in carried.carriers.items():
        if outline.type == LINK and outline.kind == "span":
            continue
        cause = outline.cause
        about = cause if cause in tree.events else next(iter(carried.sources(position)), None)
        if outline.kind == "delivery":
            if about is None:
                tree.stray.append(outline)
            else:
                tree.reports.setdefault(about, []).append(outline)
        elif about is None:
            tree.around.append(outline)
        else:
            tree.spans.setdefault(about, []).append(outline)
    for spans in (tree.around, *tree.spans.values()):
        spans.sort(key=lambda o: (o.time, o.position))


def _hang(
    tree: Tree, links: Mapping[int, Iterable[int]], upto: int | None, carried: Carried
) -> None:
    events = tree.events
    plain = not links and not carried.joined
    for position, event in events.items():
        cause = event.cause
        if plain and cause in events and cause is not None:  # nearly always
            tree.parent[position] = cause
            tree.children.setdefault(cause, []).append(position)
            tree.edges.append((cause, position))
            continue
        found = [] if cause is None else [cause] if cause in events else carried.sources(cause)
        further = [c for c in links.get(position, ()) if c in events] if links else []
        causes = list(dict.fromkeys([*found, *further]))
        if causes:
            tree.parent[position] = causes[0]
            tree.children.setdefault(causes[0], []).append(position)
            tree.edges += [(c, position) for c in causes]
            continue
        tree.roots.append(position)
        if cause is not None and cause in carried.carriers:
            continue  # it begins with a span, or a delivery of what nobody recorded
        if cause is not None and (upto is None or cause <= upto):
            tree.foreign[position] = cause
        elif event.lost or cause is not None:
            tree.lost.add(position)


def _walk(tree: Tree) -> None:
    depth, order, children = tree.depth, tree.order, tree.children
    pending = tree.roots
    tree.roots = []
    for root in pending:
        tree.roots.append(root)
        _down(root, depth, order, children)
    if len(depth) < len(tree.events):
        for position in tree.events:
            if position not in depth:  # all its causes lead in a circle
                root = _circle(position, tree.parent)
                cause = tree.parent.pop(root)
                children[cause].remove(root)
                tree.loops.append((cause, root))
                tree.roots.append(root)
                _down(root, depth, order, children)
        tree.roots.sort()
        order.clear()
        depth.clear()
        for root in tree.roots:
            _down(root, depth, order, children)


def _down(
    root: int, depth: dict[int, int], order: list[int], children: dict[int, list[int]]
) -> None:
    stack = [root]
    depth[root] = 0
    while stack:
        here = stack.pop()
        order.append(here)
        below = children.get(here)
        if below:
            deeper = depth[here] + 1
            for child in reversed(below):
                depth[child] = deeper
                stack.append(child)


def _circle(position: int, parent: dict[int, int]) -> int:
    """Return the first event of the circle that the causes of `position` lead into."""
    seen = set()
    while position not in seen:
        seen.add(position)
        position = parent[position]
    first, here = position, parent[position]
    while here != position:
        first, here = min(first, here), parent[here]
    return first
