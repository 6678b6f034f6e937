"""What the Subscribers page shows of who is told what, as of a moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from apps.eventlog.places import Line
from apps.ingest import buses, queries
from apps.ingest.connector import BadSettings
from apps.pages import words
from apps.pages.queries.services import Cast
from apps.pages.tiles import Tile
from apps.traces.audience import AGAIN, EXACT, LOST, OUTCOMES, Cell, Subscriber
from apps.traces.queries.untold import Untold

TYPES = 24  # columns of the matrix
LOOKS = {EXACT: "ok", AGAIN: "warn", LOST: "fail", "": "off"}
SAID = {EXACT: "exactly once", AGAIN: "at least once", LOST: "at most once", "": "not handled yet"}
EVIDENCE = {
    "reported": "said so itself", "acked": "acknowledged to the bus", "span": "by a span",
    "offset": "passed by: its place on the bus went past", "inferred": "by what it led to",
    "delivered": "given by the bus", "dead_letter": "by a dead letter", "advisory": "by the bus",
    "task_event": "by a task event", "job": "by the jobs table",
}  # fmt: skip


class Square(NamedTuple):
    """One cell of the matrix."""

    cell: Cell
    type: str
    look: str
    said: str
    rate: str
    took: str


class Row(NamedTuple):
    """One subscriber as the page shows it."""

    of: Subscriber
    tile: Tile
    look: str
    said: str
    where: str  # buses it is seen on
    groups: str
    failing: str  # share of attempts that failed
    usual: str  # handling times
    slow: str
    squares: list[Square | None]


class Table(NamedTuple):
    """All of them, with the columns of the matrix."""

    rows: list[Row]
    types: list[tuple[str, Tile]]
    more: int  # types without a column
    untold: dict[str, Untold]  # columns of those nobody is known to be told of
    tally: list[tuple[str, str, int]]  # sign, look and number of routes


def table(
    line: Line, found: Iterable[Subscriber], known: Cast, *, now: int, nobody: Iterable[Untold] = ()
) -> Table:
    """Return subscribers as rows; `now` is the moment in the log's time."""
    subscribers = list(found)
    amount: Counter[str] = Counter()
    for one in subscribers:
        amount.update({name: cell.seen for name, cell in one.types.items() if name})
    first = known_order(known)
    told = [name for name, _ in amount.most_common(TYPES)]
    untold = {one.type: one for one in list(nobody)[: TYPES - len(told)]}
    types = sorted(
        [*told, *untold],
        key=lambda name: (first.get(name, len(first)), name),
    )
    places = _taps(line)
    rows = [_row(one, types, known, places, now) for one in subscribers]
    tally = Counter(
        cell.sign for one in subscribers for name, cell in one.types.items() if name and cell.sign
    )
    columns = [(name, known.of_type(name)) for name in types]
    signs = [(sign, LOOKS[sign], tally[sign]) for sign in (EXACT, AGAIN, LOST) if tally[sign]]
    return Table(rows, columns, len(amount) - len(told), untold, signs)


def known_order(known: Cast) -> dict[str, int]:
    """Return the place of each type in the order of first appearance."""
    return {name: place for place, name in enumerate(known.publishers)}


def _taps(line: Line) -> dict[str, str]:
    """Return what the bus of each tap is called."""
    found = {}
    for tap in queries.taps(line):
        try:
            found[tap.name] = buses.connector_class(tap.bus).title
        except BadSettings:
            found[tap.name] = tap.bus
    return found


def _row(
    one: Subscriber, types: list[str], known: Cast, places: Mapping[str, str], now: int
) -> Row:
    where = Counter(places.get(tap, tap) if tap else "reports" for tap in one.taps)
    groups = [name for name, _ in one.groups.most_common(4)]
    usual, slow = one.all.took(0.5), one.all.took(0.99)
    return Row(
        one, known.of(one.name), LOOKS[one.all.sign], SAID[one.all.sign],
        ", ".join(where), ", ".join(groups), words.percent(one.failed, one.told),
        "" if usual is None else words.duration(usual),
        "" if slow is None else words.duration(slow),
        [_square(one.types.get(name), name, now) for name in types],
    )  # fmt: skip


def _square(cell: Cell | None, name: str, now: int) -> Square | None:
    if cell is None:
        return None
    rate, took = cell.rate(now), cell.took(0.99)
    return Square(
        cell, name, LOOKS[cell.sign], SAID[cell.sign],
        "" if rate is None else words.rate(rate * 1000, 1000 * words.SECOND),
        "" if took is None else words.duration(took),
    )  # fmt: skip


HEAD = (
    "subscriber", "type", "observed", "seen", "handled", "failed", "dead_lettered", "skipped",
    "retries", "handled_again", "given_up", "p50_us", "p99_us", "lag", "evidence", "taps",
)  # fmt: skip


def audit(found: Iterable[Subscriber], nobody: Iterable[Untold]) -> Iterator[tuple[object, ...]]:
    """Yield a row for each subscriber and type it was told of, and one for each type nobody was.

    The figures are of the newest deliveries that were looked at, as on the page.
    """
    for one in found:
        how = ", ".join(f"{name} {n}" for name, n in one.evidence.most_common())
        taps = ", ".join(sorted(tap for tap in one.taps if tap))
        for name, cell in sorted(one.types.items()) or [("", one.all)]:
            yield (
                one.name, name, SAID[cell.sign], cell.seen,
                *(cell.outcomes[outcome] for outcome in OUTCOMES), cell.retries,
                _places(cell.twice), _places(cell.dead), cell.took(0.5), cell.took(0.99),
                one.lag, how, taps,
            )  # fmt: skip
    for none in nobody:
        yield ("", none.type, f"nobody, of the newest {none.seen}", 0, *[None] * (len(HEAD) - 4))


def _places(positions: Iterable[int]) -> str:
    return " ".join(map(str, (p for p in positions if p > 0)))


def evidence(one: Subscriber) -> list[tuple[str, int]]:
    """Return how deliveries are known, in words, the most frequent first."""
    return [(EVIDENCE.get(name, name), n) for name, n in one.evidence.most_common()]
