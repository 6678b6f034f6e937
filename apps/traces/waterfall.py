"""A trace as rows over time: one per event, and one per delivery that ended badly or in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from apps.traces.axis import Axis
from apps.traces.deliveries import Delivery, service
from apps.traces.problem import Problem
from apps.traces.timing import Step
from apps.traces.tree import Tree
from apps.traces.typical import Typical
from apps.traces.words import lasting

DRAWN = 400  # rows at most
MANY = 150  # rows above which subtrees are folded
OPEN = 2  # levels that are open in a trace of many rows
DEEP = 14  # levels of indentation

WORDS = {"dead_lettered": "dead-lettered", "failed": "failed", "skipped": "skipped as duplicate"}


@dataclass(slots=True)
class Row:
    """A row of the waterfall. Places are per cent of the width; None is not drawn."""

    key: str
    position: int | None
    service: str
    name: str
    depth: int
    kind: str = "event"  # event, delivery, missing
    tag: str = ""  # again, slow, missing, dead, retried
    note: str = ""
    wait: tuple[float, float] | None = None  # left, width
    bar: tuple[float, float] | None = None
    dot: float | None = None
    usual: tuple[float, float] | None = None
    ghost: tuple[float, float] | None = None
    crosses: list[tuple[float, str]] = field(default_factory=list)
    label: str = ""
    brief: str = ""  # the label where there is little room
    label_x: float = 0.0
    label_left: bool = False
    redelivered: str = ""
    critical: bool = False
    future: bool = False
    hidden: int = 0  # rows folded away below it
    open: bool = False
    error: str = ""


@dataclass(slots=True)
class Waterfall:
    """Rows and their axis. `left_out` rows did not fit."""

    rows: list[Row]
    axis: Axis
    left_out: int
    needle: float | None


def draw(
    tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step],
    *, problems: Sequence[Problem], critical: Collection[int], usual: Typical | None, at: int,
    now: int | None, fold: bool = True, opened: Collection[int] = (),
) -> Waterfall:  # fmt: skip
    """Return the rows of a trace.

    at, now  the playhead: what is later is marked as future
    opened   events whose folded subtrees are shown
    """
    axis = Axis(_moments(delivered, steps), fold=fold)
    maker = _Maker(tree, delivered, steps, problems, critical, usual, at, axis)
    rows, left_out = maker.rows(opened)
    inside = now is not None and axis.begin <= now < axis.end
    needle = axis.x(now) if inside and now is not None else None
    return Waterfall(rows, axis, left_out, needle)


def _moments(delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step]) -> list[int]:
    found = []
    for step in steps.values():
        found += [step.begun, step.published]
        if step.received is not None:
            found.append(step.received)
    for deliveries in delivered.values():
        for d in deliveries:
            if d.is_known:
                found += [t for t in (d.started, d.latest) if t is not None]
    return found


class _Maker:
    def __init__(
        self, tree: Tree, delivered: Mapping[int, Sequence[Delivery]], steps: Mapping[int, Step],
        problems: Sequence[Problem], critical: Collection[int], usual: Typical | None, at: int,
        axis: Axis,
    ) -> None:  # fmt: skip
        self.tree, self.delivered, self.steps = tree, delivered, steps
        self.critical, self.usual, self.at, self.axis = set(critical), usual, at, axis
        self.missing: dict[int, list[Problem]] = {}
        self.tags: dict[int, str] = {}
        self.notes: dict[int, str] = {}
        for p in problems:
            if p.code == "missing_step":
                self.missing.setdefault(p.position, []).append(p)
            if p.code == "slow":
                self.tags[p.position] = "slow"
                self.notes[p.position] = p.detail
        self.began = min((s.published for s in steps.values()), default=0)
        self.again = self._again()

    def _again(self) -> dict[int, Delivery]:
        """Return the events published because a delivery was repeated -> that delivery."""
        found: dict[int, Delivery] = {}
        for position, deliveries in self.delivered.items():
            handled: dict[str, int] = {}
            for d in deliveries:
                if d.outcome == "handled" and d.is_known:
                    name = service(d.subscriber)
                    handled[name] = handled.get(name, 0) + 1
                    if handled[name] > 1:
                        for child in self.tree.children.get(position, ()):
                            step = self.steps[child]
                            if step.delivery is not None and step.delivery[:4] == d[:4]:
                                found[child] = d
        for child in list(found):
            for below in self.tree.below(child):
                found.setdefault(below, found[child])
        return found

    def rows(self, opened: Collection[int]) -> tuple[list[Row], int]:
        events = [p for p in self.tree.order if self.tree.events[p].kind != "response"]
        many = len(events) > MANY
        sizes = self._sizes() if many else {}
        made: list[Row] = []
        left_out, skip_below = 0, None
        for position in events:
            depth = self.tree.depth[position]
            if skip_below is not None:
                if depth > skip_below:
                    continue
                skip_below = None
            if len(made) >= DRAWN:
                left_out += 1
                continue
            row = self._event(position)
            made.append(row)
            if many and sizes.get(position, 0):
                row.open = position in opened
                if depth + 1 >= OPEN and not row.open and sizes[position] > 1:
                    row.hidden, skip_below = sizes[position], depth
                    continue
            made += self._deliveries(position)
        return made, left_out

    def _sizes(self) -> dict[int, int]:
        sizes: dict[int, int] = {}
        for position in reversed(self.tree.order):
            above = self.tree.parent.get(position)
            if above is not None and self.tree.events[position].kind != "response":
                sizes[above] = sizes.get(above, 0) + sizes.get(position, 0) + 1
        return sizes

    def _event(self, position: int) -> Row:
        event, step, axis = self.tree.events[position], self.steps[position], self.axis
        row = Row(
            str(position), position, service(event.source), event.type,
            min(self.tree.depth[position], DEEP), tag=self.tags.get(position, ""),
            critical=position in self.critical, future=position > self.at,
        )  # fmt: skip
        row.dot = axis.x(step.published)
        row.label_x = row.dot
        if position not in self.tree.parent:
            lost = "cause not recorded" if position in self.tree.lost else "root"
            row.label = "caused by another trace" if position in self.tree.foreign else lost
            return row
        taken = step.received if step.received is not None else step.begun
        row.wait = _between(axis, step.begun, taken)
        row.bar = _between(axis, taken, step.published)
        row.label = lasting(step.published - taken)
        if position in self.again:
            row.tag = row.tag or "again"
            if step.delivery is not None and step.delivery is self.again[position]:
                row.redelivered = f"redelivered after {lasting(taken - step.begun)}"
        row.label_left = row.dot > 80
        if row.label_left:
            row.label_x = row.bar[0]
        self._usual(row, position, step)
        if row.tag == "slow":
            row.note = self.notes[position]
            cause = self.tree.events[self.tree.parent[position]]
            follow = self.usual and self.usual.follow(cause.type, event.source, event.type)
            row.label += f" · p99 {lasting(follow.p99)}" if follow else ""
        return row

    def _usual(self, row: Row, position: int, step: Step) -> None:
        if self.usual is None:
            return
        event = self.tree.events[position]
        cause = self.tree.events[self.tree.parent[position]]
        follow = self.usual.follow(cause.type, event.source, event.type)
        if follow is not None and position not in self.again:
            end = self.began + follow.start50
            row.usual = _between(self.axis, max(self.began, end - follow.p50), end)

    def _deliveries(self, position: int) -> list[Row]:
        by_subscriber: dict[str, list[Delivery]] = {}
        for d in self.delivered.get(position, ()):
            by_subscriber.setdefault(service(d.subscriber), []).append(d)
        made = []
        for name, theirs in by_subscriber.items():
            bad = [d for d in theirs if d.outcome in WORDS]
            if bad:
                made.append(self._bad(position, name, theirs, bad[-1]))
        for problem in self.missing.get(position, ()):
            made.append(self._ghost(position, problem))
        return made

    def _bad(self, position: int, name: str, theirs: list[Delivery], last: Delivery) -> Row:
        event = self.tree.events[position]
        row = Row(
            f"{position}-{name}", None, name, f"{WORDS[last.outcome]}",
            min(self.tree.depth[position] + 1, DEEP), kind="delivery",
            future=(last.position or 0) > self.at, error=last.error,
        )  # fmt: skip
        begun = self.steps[position].published
        failed = [d for d in theirs if d.outcome in ("failed", "dead_lettered")]
        if any(d.outcome == "handled" for d in theirs) and failed:
            row.name, row.tag = f"{event.type} failed first", "retried"
        elif failed:
            row.tag = "dead" if last.outcome == "dead_lettered" else "failed"
        for d in failed:
            at = d.latest if d.latest is not None else begun
            said = (
                f"attempt {d.attempt}, +{lasting(at - self.began)}: {d.error or 'no error given'}"
            )
            row.crosses.append((self.axis.x(at), said))
        end = max((d.latest or begun for d in theirs), default=begun)
        row.wait = _between(self.axis, begun, end)
        if failed:
            row.label = f"{len(failed)} attempt{'s' if len(failed) > 1 else ''}"
            row.label_x, row.label_left = row.wait[0], True
        else:
            start = last.started if last.started is not None else end
            row.bar = _between(self.axis, start, end)
            row.label = lasting(end - start)
            row.label_x = row.bar[0] + row.bar[1]
        return row

    def _ghost(self, position: int, problem: Problem) -> Row:
        step = self.steps[position]
        follow = next(
            (f for f in (self.usual.expected(self.tree.events[position].type) if self.usual else [])
             if f.service == problem.subscriber), None,
        )  # fmt: skip
        within = follow.p99 if follow else 0
        row = Row(
            f"{position}-no-{problem.subscriber}", None, problem.subscriber,
            f"no {follow.effect if follow else 'reaction'}",
            min(self.tree.depth[position] + 1, DEEP), kind="missing", tag="missing",
            future=position > self.at,
        )  # fmt: skip
        left = self.axis.x(step.published)
        row.ghost = (left, max(self.axis.x(step.published + within) - left, 3.0))
        row.label = f"expected within {lasting(within)}"
        row.brief = f"usually in {lasting(within)}"
        row.label_x, row.label_left = left, left > 40
        if not row.label_left:
            row.label_x = left + row.ghost[1]
        return row


def _between(axis: Axis, begin: int, end: int) -> tuple[float, float]:
    left = axis.x(begin)
    return left, max(axis.x(end) - left, 0.15)
