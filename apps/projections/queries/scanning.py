"""Looking at every event for the first after which an expression holds: always right, and quick.

Where the expression asks for fields of the state alone, only those are read and kept (`partial`);
else whole states. The search may be one of several shares of the streams, it says how far it is,
and whoever listens may stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.eventlog.queries import facts
from apps.projections.errors import UnknownStream
from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.partial import UNTOUCHED, Reader, fields
from apps.projections.queries import snapshots
from apps.projections.queries.states import FINGERPRINT, exists, state_at, stream_number

COSTLY = {"event", "time"}  # what is worked out only for expressions that ask for it
BUSY, APART = 50, 8  # snapshots from which on a stream is shared out itself, and how many are
TELL_S = 0.2  # between two words of how far the search is
Tell = Callable[[int, int], bool]  # (states looked at, position) → whether to go on


class Moment(NamedTuple):
    """One event of the streams looked at, with the states right after it."""

    position: int
    stream: str
    log_time: int
    names: dict[str, Any]


class Hit(NamedTuple):
    """Where a search ended. `position` is None where the expression held nowhere.

    complete  False when it was stopped, at `scanned_to`
    """

    position: int | None
    stream: str
    checked: int
    complete: bool = True
    scanned_to: int = 0


class Pace:
    """Says every TELL_S how far a search is, and whether it may go on."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._due = tell, time.perf_counter() + TELL_S

    def on(self, checked: int, position: int) -> bool:
        """Return whether to go on."""
        if time.perf_counter() < self._due:
            return True
        self._due = time.perf_counter() + TELL_S
        return self._tell(checked, position)


def quick(expression: Expression, stream: str) -> frozenset[str] | None:
    """Return the fields that are enough to look at, None where whole states are needed."""
    one = stream if stream and not stream.endswith("*") else ""
    if expression.roots - {"state", "stream"} or expression.entities - {one}:
        return None
    return fields(expression.tree, one)


def scan_fields(
    line: Line, stream: str, expression: Expression, names: frozenset[str], *, after: int,
    upto: int, tell: Tell, share: facts.Share = facts.WHOLE,
) -> Hit:  # fmt: skip
    """Return the first hit of an expression that asks for these fields alone; see `quick`."""
    reader, pace, checked = Reader(names), Pace(tell), 0
    one = bool(stream) and not stream.endswith("*")
    number = stream_number(line, stream) if one else 0
    called = {number: stream} if one else {}
    begin, at = (after, after) if one else (0, after)
    states = _states_before(line, reader, called, after) | _apart(line, reader, share)
    carried = set(states)  # states that nothing was asked about yet
    merged, holds, wanted = reader.merged, expression.tester(), _Wanted(stream, called)
    for base, rows in facts.rows(line, [number] if one else None, after=begin, upto=upto,
                                 share=share):  # fmt: skip
        lanes = _content_types(line, {row[2] for row in rows})
        unknown = {row[1] for row in rows} - called.keys()
        if unknown:
            wanted.learn(unknown)
        bases = _bases(line, rows, base)
        for place, key, lane, _, data in rows:
            content_type = lanes[lane]
            name = called[key]
            if content_type is None or name is None:
                continue
            before = states.get(key, MISSING)
            state = merged(before, data, content_type)
            if data is None and place - base in bases:
                state = reader.part(bases[place - base].state)
            if place - base > after:
                checked += 1
                if state is UNTOUCHED and key in states and key not in carried:
                    continue  # what was not true is not true now
                now = before if state is UNTOUCHED else state
                if holds(now, name):
                    return Hit(place - base, name, checked)
                carried.discard(key)
            else:
                carried.add(key)
            states[key] = before if state is UNTOUCHED else state
        at = rows[-1][0] - base
        if not pace.on(checked, at):
            return Hit(None, stream, checked, complete=False, scanned_to=at)
    if one and not checked and not exists(line, number):
        raise UnknownStream(line.slug, stream)
    return Hit(None, stream, checked)


def shares(line: Line, of: int, *, after: int, upto: int) -> list[facts.Share]:
    """Return all streams in so many shares that take about as long, by what snapshots tell.

    The busiest streams are cut where they have snapshots to begin at.
    """
    apart: list[list[tuple[int, int, int]]] = [[] for _ in range(of)]
    for number in snapshots.busiest(line, FINGERPRINT, least=BUSY, limit=APART):
        at = snapshots.positions(line, FINGERPRINT, number, after=after, upto=upto)
        cuts = [at[len(at) * n // of] for n in range(1, of)] if at else []
        ends = zip([0, *cuts], [*cuts, upto], strict=True)
        for mine, (low, high) in zip(apart, ends if cuts else [], strict=False):
            mine.append((number, low, high))
    return [facts.Share(n, of, tuple(mine)) for n, mine in enumerate(apart)]


def _states_before(
    line: Line, reader: Reader, called: Mapping[int, str], after: int
) -> dict[int, Any]:
    if not after:
        return {}
    states = {key: state_at(line, name, at=after).state for key, name in called.items()}
    return {key: reader.part(state) for key, state in states.items()}


def _apart(line: Line, reader: Reader, share: facts.Share) -> dict[int, Any]:
    """Return the states of the busiest streams where this share begins to read them."""
    names = facts.names(number for number, _, _ in share.apart)
    found: dict[int, Any] = {}
    for number, low, _ in share.apart:
        found |= _states_before(line, reader, {number: names[number][0]}, low)
    return found


def _bases(line: Line, rows: list[facts.Row], base: int) -> dict[int, snapshots.Kept]:
    """Return the states kept in place of erased events, by position."""
    erased = [row[0] - base for row in rows if row[4] is None]
    return snapshots.kept(line, FINGERPRINT, erased[0] - 1, erased[-1]) if erased else {}


class _Wanted:
    """Which streams a search looks at, by number; None in `called` for those it does not."""

    def __init__(self, stream: str, called: dict[int, Any]) -> None:
        self.prefix, self.called = stream.removesuffix("*"), called

    def learn(self, numbers: set[int]) -> None:
        """Look up the names of streams not met before."""
        for number, (name, _) in facts.names(numbers).items():
            self.called[number] = name if name.startswith(self.prefix) else None


def _content_types(line: Line, ids: set[int]) -> dict[int, str | None]:
    """Return the content type of each lane, None for lanes that feed no state."""
    known = facts.lanes(line, ids)
    return {n: known[n].content_type if known[n].kind == "event" else None for n in ids}


def scan_moments(moments: Iterator[Moment], expression: Expression, stream: str, tell: Tell) -> Hit:
    """Return the first of some moments at which an expression holds."""
    pace, checked, at = Pace(tell), 0, 0
    for moment in moments:
        at = moment.position
        checked += 1
        if expression.holds(**moment.names):
            return Hit(at, moment.stream, checked)
        if checked % 256 == 0 and not pace.on(checked, at):
            return Hit(None, stream, checked, complete=False, scanned_to=at)
    return Hit(None, stream, checked)
