"""A trace as boxes and arrows: columns by the number of hops from the root."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from apps.traces.deliveries import service
from apps.traces.timing import Step
from apps.traces.tree import Tree
from apps.traces.waterfall import Row
from apps.traces.words import lasting

WIDTH, HEIGHT, GAP_X, GAP_Y = 148, 38, 30, 10
TOP, LEFT = 30, 12
DRAWN = 150  # boxes at most
DEEPEST = 40  # columns
LETTERS = 17  # of a name that fit


class Box(NamedTuple):
    """One event, or one delivery or reaction that failed to come about."""

    key: str
    position: int | None
    service: str
    name: str
    detail: str
    x: float
    y: float
    look: str  # classes: ghost, dead, future
    sign: str  # icon, "" for none


class Arrow(NamedTuple):
    """From cause to effect."""

    path: str
    head: str
    look: str


class Graph(NamedTuple):
    """All of it, in pixels."""

    boxes: list[Box]
    arrows: list[Arrow]
    columns: list[tuple[int, str]]
    width: float
    height: float
    left_out: int


SIGNS = {"again": "dup", "slow": "slow", "dead": "dlq", "missing": "ghost", "retried": "dup",
         "failed": "err"}  # fmt: skip


def draw(
    tree: Tree, steps: Mapping[int, Step], rows: list[Row], critical: Collection[int]
) -> Graph:
    """Return the graph of the rows of a waterfall; what is folded there is left out here."""
    drawn = [row for row in rows if row.depth < DEEPEST][:DRAWN]
    places = _places(drawn)
    boxes = [_box(row, steps, *places[row.key]) for row in drawn]
    by_key = {box.key: box for box in boxes}
    on_path = set(zip(critical, list(critical)[1:], strict=False))
    arrows = []
    for row, (above, _) in zip(drawn, _parents(drawn), strict=True):
        if above is not None:
            path = (above.position, row.position) in on_path
            arrows.append(_arrow(by_key[above.key], by_key[row.key], row, critical=path))
    depth = max((row.depth for row in drawn), default=0)
    names = ["root", "1st reaction", "2nd", "3rd"]
    columns = [
        (LEFT + n * (WIDTH + GAP_X), names[n] if n < 4 else f"{n}th") for n in range(depth + 1)
    ]
    height = max((b.y for b in boxes), default=0.0) + HEIGHT + 14
    return Graph(
        boxes, arrows, columns, LEFT * 2 + (depth + 1) * (WIDTH + GAP_X) - GAP_X, height,
        len(rows) - len(drawn),
    )  # fmt: skip


def _parents(rows: list[Row]) -> list[tuple[Row | None, int]]:
    """Return the row each row hangs below: the last one before it that is less deep."""
    stack: list[Row] = []
    found: list[tuple[Row | None, int]] = []
    for row in rows:
        while stack and stack[-1].depth >= row.depth:
            stack.pop()
        found.append((stack[-1] if stack else None, row.depth))
        stack.append(row)
    return found


def _places(rows: list[Row]) -> dict[str, tuple[float, float]]:
    """Return where boxes go: a leaf on a line of its own, a cause beside its first effect."""
    above = [parent for parent, _ in _parents(rows)]
    first: dict[str, str] = {}
    for row, parent in zip(rows, above, strict=True):
        if parent is not None:
            first.setdefault(parent.key, row.key)
    lines: dict[str, int] = {}
    line = 0
    for row in rows:
        if row.key not in first:
            lines[row.key] = line
            line += 1
    for row in reversed(rows):
        if row.key in first:
            lines[row.key] = lines[first[row.key]]
    return {
        row.key: (LEFT + row.depth * (WIDTH + GAP_X), TOP + lines[row.key] * (HEIGHT + GAP_Y))
        for row in rows
    }


def _box(row: Row, steps: Mapping[int, Step], x: float, y: float) -> Box:
    look = {"delivery": "g-ghost", "missing": "g-ghost"}.get(row.kind, "")
    if row.tag in ("dead", "failed"):
        look = "g-dead"
    if row.future:
        look += " g-nfut"
    step = steps.get(row.position) if row.position is not None else None
    detail = row.brief or row.label if step is None or not step.gap else lasting(step.gap)
    name = row.name if len(row.name) <= LETTERS else row.name[: LETTERS - 1] + "…"
    return Box(
        row.key, row.position, service(row.service), name, detail, x, y, look.strip(),
        SIGNS.get(row.tag, ""),
    )  # fmt: skip


def _arrow(a: Box, b: Box, row: Row, *, critical: bool) -> Arrow:
    x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT / 2, b.x - 5, b.y + HEIGHT / 2
    middle = (x1 + x2) / 2
    look = "g-crit" if critical else ""
    if row.redelivered:
        look = "g-dup"
    elif row.tag in ("dead", "failed"):
        look = "g-fail"
    elif row.kind != "event":
        look = "g-gh"
    return Arrow(
        f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}",
        f"M{x2 - 1:g} {y2 - 3.5:g}l6 3.5-6 3.5z", look + (" g-fut" if row.future else ""),
    )  # fmt: skip
