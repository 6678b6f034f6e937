"""What a page of the log changes: each trace it touches summed up as a whole, as of its end."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from apps.eventlog.outline import Outline
from apps.eventlog.places import Line
from apps.eventlog.queries import outlines
from apps.traces import deliveries, problems, store, timing, typical
from apps.traces.carried import group_of
from apps.traces.tree import assemble

LARGE = 5000  # events and deliveries of a trace that are looked at; more only count


class Row(NamedTuple):
    """A row of Trace, in order of its columns."""

    timeline: int
    correlation: int | None
    root: int
    first: int
    last: int
    kind: int
    variant: str
    flags: int
    duration: int
    events: int
    figures: bytes


class Page(NamedTuple):
    """What one page of the log changes."""

    rows: list[Row]
    keys: dict[int, tuple[int, str]]  # digest -> kind and key of the figures the rows name
    grown: dict[int, tuple[int, int]]  # trace -> events more, last position: of the largest
    gone: list[int]  # roots that turned out to be effects
    subscribers: dict[str, tuple[int, int]]
    links: list[tuple[int, int]]  # digest of a group, position
    trace_ids: dict[int, int]  # digest -> first position


def read(line: Line, *, after: int, upto: int) -> Page:
    """Return what the positions after < p <= upto change, as of the last; nothing is written."""
    fresh = outlines.page(line, after=after, upto=upto)
    late = outlines.late_effects(line, after=after, upto=upto)
    touched = [o for o in (*fresh, *late) if o.kind != "progress"]
    page = Page([], {}, {}, [], _subscribers(fresh), _links(fresh), {})
    for position, span in outlines.span_ids(line, after=after, upto=upto):
        page.trace_ids.setdefault(digest(span.partition("-")[0]), position)
    numbers = {o.correlation for o in touched if o.correlation is not None}
    large = _large(line, numbers)
    _count_large(page, large, fresh)
    groups: dict[int, list[Outline]] = {}
    for o in outlines.correlated(line, numbers - large.keys(), upto=upto):
        if o.correlation is not None:
            groups.setdefault(o.correlation, []).append(o)
    for number, group in groups.items():
        _add(page, line, number, group, upto)
    _closures(page, line, touched, upto)
    return page


def _links(fresh: Iterable[Outline]) -> list[tuple[int, int]]:
    return [(digest(name), o.position) for o in fresh if o.data and (name := group_of(o))]


def _subscribers(fresh: Iterable[Outline]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for o in fresh:
        if o.kind == "delivery":
            name = deliveries.service(o.source)
            found[name] = (found.get(name, (o.position, 0))[0], o.position)
    return found


def _large(line: Line, numbers: Iterable[int]) -> dict[int, int]:
    """Return the traces among `numbers` that are summed up already and only grow: their rows."""
    found: dict[int, int] = {}
    for clause, values in store.among(sorted(numbers)):
        found |= dict(store.fetch(
            f"SELECT correlation, id FROM traces_trace WHERE timeline = %s AND correlation {clause}"
            " AND events >= %s", [line.timeline, *values, LARGE],
        ))  # fmt: skip
    return found


def _count_large(page: Page, large: dict[int, int], fresh: Sequence[Outline]) -> None:
    if large:
        for o in fresh:
            if o.correlation in large:
                row = large[o.correlation]
                page.grown[row] = (page.grown.get(row, (0, 0))[0] + 1, o.position)


def _closures(page: Page, line: Line, touched: Sequence[Outline], upto: int) -> None:
    """Sum up the traces without a correlation id: all that descends from a first cause."""
    effects = [
        o.position
        for o in touched
        if o.correlation is None and o.cause is not None and o.cause <= upto
    ]
    if not effects:
        return
    origins = outlines.origins(line, effects, upto=upto)
    page.gone.extend(p for p, root in origins.items() if p != root)
    free = [o.position for o in outlines.at(line, set(origins.values())) if o.correlation is None]
    for root, members in outlines.closures(line, free, upto=upto).items():
        _add(page, line, None, members, upto)
        page.gone.extend(o.position for o in members if o.position != root)


def _add(page: Page, line: Line, number: int | None, group: list[Outline], upto: int) -> None:
    seen = group[:LARGE]
    tree = assemble(seen, upto=upto)
    if tree.root is None:
        return
    delivered = deliveries.of_tree(tree)
    began, ended = timing.span(tree, delivered, timing.skews(tree, delivered))
    kind = digest(tree.root.type)
    sums: list[int] = []
    for key, count in typical.figures(tree, delivered).items():
        number_of, text = figure(kind, key)
        page.keys[number_of] = (kind, text)
        sums += [number_of] * count
    sums.sort()
    there = [
        *tree.events, *(o.position for o in tree.around),
        *(r.position for found in (tree.reports, tree.spans) for rs in found.values() for r in rs),
    ]  # fmt: skip
    large = len(group) >= LARGE
    page.rows.append(Row(
        line.timeline, number, tree.root.position, min(there),
        group[-1].position if large else max(there), kind, typical.variant(tree),
        problems.flags(tree, delivered), ended - began,
        len(group) if large else typical.shown(tree), struct.pack(f"<{len(sums)}q", *sums),
    ))  # fmt: skip


def digest(*parts: str) -> int:
    """Return 64 bits that stand for some texts."""
    raw = json.dumps(parts, ensure_ascii=False).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little", signed=True)


@lru_cache(maxsize=100_000)
def figure(kind: int, key: typical.Key) -> tuple[int, str]:
    """Return the digest and the text of a figure of a kind."""
    return digest(str(kind), *key), json.dumps(key, ensure_ascii=False)
