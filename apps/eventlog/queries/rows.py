"""The part of each event that a query looks at, read for many events at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from apps.eventlog import seen, store
from apps.eventlog.match import Glimpse
from apps.eventlog.places import BITS, Line, position
from apps.eventlog.queries.lanes import Strings

INLINE = 64 * 1024  # bytes of data read along with a row; more is read when its turn comes

_SMALL = "CASE WHEN length(e.{0}) <= 65536 THEN e.{0} END, length(e.{0})"
_COLUMNS = {
    "log_time": "e.log_time", "revision": "e.revision", "id": "e.event_id", "cause": "e.cause",
    "key": "e.key", "partition": "e.partition", "offset": 'e."offset"', "stream": "s.name",
    "correlation": "c.name", "seen": "r.seen", "causation": "w.causation",
}  # fmt: skip
_JOINS = {
    "stream": " LEFT JOIN eventlog_stream s ON s.id = e.stream_id",
    "correlation": " LEFT JOIN eventlog_correlation c ON c.id = e.correlation_id",
    "seen": " LEFT JOIN eventlog_repeat r ON r.place = e.place",
    "causation": " LEFT JOIN eventlog_waiting w ON w.place = e.place",
}
_UNREAD = Strings("", "", "", "", "", "")  # of rows whose lane nobody looks at
_EMPTY = {"stream": "", "correlation": "", "seen": 1}

Row = Sequence[Any]  # place, lane, then the columns asked for


class Reader:
    """Reads the columns that `names`, attributes of an event, come from."""

    def __init__(self, line: Line, known: dict[int, Strings], names: Iterable[str]) -> None:
        wanted = set(names)
        if "causation" in wanted:
            wanted.add("cause")
        self._line, self._known = line, known
        self._names = [name for name in _COLUMNS if name in wanted]
        self._large = [name for name in ("metadata", "data") if name in wanted]
        self._joins = "".join(join for name, join in _JOINS.items() if name in wanted)
        columns = [_COLUMNS[name] for name in self._names]
        columns += [_SMALL.format(name) for name in self._large]
        self._select = "SELECT " + ", ".join(["e.place", "e.lane_id", *columns])
        self._causes, self._cause = "causation" in wanted, "cause" in wanted
        self._upto = {part.timeline: part.upto for part in line.segments}

    @property
    def only_keys(self) -> bool:
        """Whether nothing is asked for but place and lane."""
        return not (self._names or self._large)

    def walk(self, low: int, high: int, limit: int, *, descending: bool) -> list[Row]:
        """Return rows with low < place <= high, in order, at most `limit`."""
        order = " DESC" if descending else ""
        return store.fetch(
            f"{self._select} FROM eventlog_event e{self._joins}"
            f" WHERE e.place > %s AND e.place <= %s ORDER BY e.place{order} LIMIT %s",
            [low, high, limit],
        )

    def at(self, keys: Sequence[int]) -> list[Row]:
        """Return the rows at places, in the order of `keys`."""
        found: dict[int, Row] = {}
        for clause, values in store.among(keys):
            sql = f"{self._select} FROM eventlog_event e{self._joins} WHERE e.place {clause}"
            found.update((row[0], row) for row in store.fetch(sql, values))
        return [found[key] for key in keys]

    def glimpses(self, rows: Sequence[Row]) -> Iterator[Glimpse]:
        """Yield what was read of each row; data beyond 64 KiB is read one event at a time."""
        causes = self._cause_ids(rows) if self._causes else {}
        plain = [(name, at, _MADE.get(name)) for at, name in enumerate(self._names, 2)]
        large = [(name, 2 + len(self._names) + 2 * n) for n, name in enumerate(self._large)]
        for row in rows:
            glimpse = Glimpse(self._known.get(row[1], _UNREAD))
            glimpse.position = position(row[0])
            for name, at, make in plain:
                value = row[at] if make is None else make(row[at])
                setattr(glimpse, name, _EMPTY.get(name) if value is None else value)
            for name, at in large:
                setattr(glimpse, name, self._bytes(name, row[0], row[at], row[at + 1]))
            if self._cause and (glimpse.cause or 0) > self._upto[row[0] >> BITS]:
                glimpse.cause = None  # learnt after a fork; there it is another event's position
            if self._causes:
                glimpse.causation = glimpse.causation or causes.get(glimpse.cause, "")
            yield glimpse

    def _bytes(self, name: str, key: int, small: bytes | None, length: int | None) -> bytes | None:
        if small is not None:
            return bytes(small)
        if length is None:  # forgotten
            return None
        sql = f"SELECT {name} FROM eventlog_event WHERE place = %s"
        rows = store.fetch(sql, [key])
        return None if rows[0][0] is None else bytes(rows[0][0])

    def _cause_ids(self, rows: Sequence[Row]) -> dict[int | None, str]:
        at = 2 + self._names.index("cause")
        places = self._line.places({row[at] for row in rows if row[at] is not None})
        found: dict[int | None, str] = {}
        for clause, values in store.among(places):
            sql = f"SELECT place, event_id FROM eventlog_event WHERE place {clause}"
            for key, packed in store.fetch(sql, values):
                found[position(key)] = seen.unpack_id(bytes(packed))
        return found


_MADE: dict[str, Callable[[Any], Any]] = {"id": lambda packed: seen.unpack_id(bytes(packed))}
