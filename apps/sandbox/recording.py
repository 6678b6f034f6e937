"""A stretch of recorded history, taken apart: what is input, and who did what because of what.

A delivery to a service under test is an `Execution`: the handler ran, and the events, commands and
answers that name the delivered event as their cause and come from that service are its outputs.
All else in the stretch is input.

When a handler began is known by its clock; what it could see then is a matter of positions. So an
execution gets a slot: it runs after every entry up to that position. The clock picks the slot; the
positions of its cause and its first output bound it, whatever the clocks say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

import msgspec

from apps.eventlog.envelope import Recorded
from apps.sandbox.clocks import microseconds_of

OUTPUTS = frozenset({"event", "command", "response"})
LAG_US = 10_000  # from an event to its handler, where no delivery tells


class Execution(msgspec.Struct):
    """One attempt of one service to handle one event.

    entries   positions of the deliveries that report it, the last one says the outcome
    outputs   positions of what it said, in order
    cut       it was still under way where the stretch ends
    """

    cause: int
    service: str
    attempt: int
    started: int  # µs
    entries: list[int] = []
    outputs: list[int] = []
    slot: int = 0
    cut: bool = False
    twin: bool = False  # made by a run that delivers everything twice


class Report(msgspec.Struct, frozen=True):
    """What a delivery's data says."""

    attempt: int = 1
    started: int | None = None
    finished: int | None = None
    error: str = ""


class _Said(msgspec.Struct):
    attempt: int = 1
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None


_said = msgspec.json.Decoder(_Said).decode


def report(delivery: Recorded) -> Report:
    """Return what a delivery reports; times it does not give are None."""
    try:
        said = _said(delivery.data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Report()
    return Report(
        max(1, said.attempt), microseconds_of(said.started_at), microseconds_of(said.finished_at),
        said.error or "",
    )  # fmt: skip


def service_of(source: str) -> str:
    """Return the service a source stands for: /payments is payments."""
    return source.strip("/").rpartition("/")[2] or source


class Recording:
    """The entries with base < position <= until, and the executions among them.

    entries   in order of position
    earlier   events up to `base` that are delivered, or cause something, in the stretch
    handlers  the services under test, each with the event types it handles
    """

    def __init__(
        self, entries: Iterable[Recorded], *, base: int, until: int,
        handlers: Mapping[str, Iterable[str]], earlier: Mapping[int, Recorded] | None = None,
    ) -> None:  # fmt: skip
        self.base, self.until = base, until
        self.entries = {entry.position: entry for entry in entries}
        self.earlier = dict(earlier or {})
        self.handlers = {service: frozenset(types) for service, types in handlers.items()}
        self._positions = list(self.entries)
        self._log_times = [entry.log_time for entry in self.entries.values()]
        self.executions: list[Execution] = []
        self.of_cause: dict[int, list[Execution]] = defaultdict(list)
        self.caused: dict[int, list[int]] = defaultdict(list)  # by anybody
        self.sources: dict[str, str] = {}  # service: how it names itself
        self.channels: dict[tuple[str, str], str] = {}  # source, type: channel
        self._take_apart()
        self.derived = frozenset(p for x in self.executions for p in (*x.entries, *x.outputs))
        self.lags = self._usual_lags()

    def at(self, position: int) -> Recorded | None:
        """Return the entry at a position of the stretch, or one it refers to before it."""
        return self.entries.get(position) or self.earlier.get(position)

    def slot_at(self, time: int) -> int:
        """Return the last position that was there at a time, `base` before the first."""
        n = bisect_right(self._log_times, time)
        return self._positions[n - 1] if n else self.base

    def place_at(self, time: int) -> int:
        """Return the slot of what happens anew at a time: beyond `until` after the last entry."""
        late = not self._log_times or time > self._log_times[-1]
        return self.until + 1 if late else self.slot_at(time)

    def time_at(self, position: int) -> int:
        """Return the log's time at a position of the stretch."""
        n = bisect_right(self._positions, position)
        if n:
            return self._log_times[n - 1]
        return self._log_times[0] if self._log_times else 0

    def lag(self, service: str) -> int:
        """Return how long after an event a service usually begins to handle it, µs."""
        return self.lags.get(service, LAG_US)

    # -- taking apart ------------------------------------------------------------------------

    def _take_apart(self) -> None:
        reported = self._reported()
        self.told = {service for _, service, _ in reported}  # of whom deliveries are reported
        outputs = self._outputs()
        attempts: dict[tuple[int, str], list[Execution]] = defaultdict(list)
        for (cause, service, _), execution in reported.items():
            attempts[cause, service].append(execution)
        for key, positions in outputs.items():
            self._share(key, positions, attempts)
        self._silent(attempts)
        for execution in (x for group in attempts.values() for x in group):
            self._place(execution)
        self.executions.sort(key=_order)
        for execution in self.executions:
            self.of_cause[execution.cause].append(execution)

    def _reported(self) -> dict[tuple[int, str, int], Execution]:
        """Return the executions that deliveries report."""
        found: dict[tuple[int, str, int], Execution] = {}
        for position, entry in self.entries.items():
            if entry.cause is not None:
                self.caused[entry.cause].append(position)
            if entry.kind != "delivery" or entry.cause is None:
                continue
            service, event = service_of(entry.source), self.at(entry.cause)
            if event is None or event.type not in self.handlers.get(service, ()):
                continue
            told = report(entry)
            started = entry.time if told.started is None else told.started
            key = entry.cause, service, told.attempt
            execution = found.setdefault(
                key, Execution(entry.cause, service, told.attempt, started)
            )
            execution.started = min(execution.started, started)
            execution.entries.append(position)
        return found

    def _outputs(self) -> dict[tuple[int, str], list[int]]:
        """Return what services under test said because of an event they handle."""
        found: dict[tuple[int, str], list[int]] = defaultdict(list)
        for position, entry in self.entries.items():
            if entry.kind not in OUTPUTS:
                continue
            service = service_of(entry.source)
            self.sources.setdefault(service, entry.source)
            self.channels.setdefault((entry.source, entry.type), entry.channel)
            if service not in self.handlers or entry.cause is None:
                continue
            event = self.at(entry.cause)
            if event is not None and event.type in self.handlers[service]:
                found[entry.cause, service].append(position)
        return found

    def _share(
        self, key: tuple[int, str], positions: list[int],
        attempts: dict[tuple[int, str], list[Execution]],
    ) -> None:  # fmt: skip
        """Give each output to the attempt under way when it was said.

        What was said after the last attempt had ended, or before the stretch began, came by another
        way and is input. Where no attempt is reported, one was under way when the stretch ended.
        """
        group = attempts[key]
        group.sort(key=lambda x: (x.started, x.attempt))
        if not group:
            if key[0] <= self.base:
                return
            first = self.entries[positions[0]]
            group.append(Execution(*key, 1, self._began(first), outputs=positions, cut=True))
            return
        for position in positions:
            entry = self.entries[position]
            began = [x for x in group if x.started <= entry.time]
            owner = began[-1] if began else group[0]
            if entry.time <= self._ended(owner):
                owner.outputs.append(position)

    def _ended(self, execution: Execution) -> int:
        """Return the time after which an attempt said nothing more: that of its report."""
        return max(self.entries[p].time for p in execution.entries)

    def _began(self, first: Recorded) -> int:
        """Return when a handler began whose first output is all that is known."""
        if first.kind != "response":
            return first.time
        try:
            took = first.value().get("duration_ms", 0)
            return first.time - round(float(took) * 1000)
        except (AttributeError, TypeError, ValueError):  # Undecodable among them
            return first.time

    def _silent(self, attempts: dict[tuple[int, str], list[Execution]]) -> None:
        """Assume a delivery of each event to services of which nothing is ever reported."""
        silent = sorted(set(self.handlers) - self.told)
        if not silent:
            return
        for position, entry in self.entries.items():
            if entry.kind not in ("event", "command"):
                continue
            for service in silent:
                group = attempts[position, service]
                if entry.type in self.handlers[service] and not group:
                    group.append(Execution(position, service, 1, entry.time))
        for (_, service), group in attempts.items():
            if service in silent:
                for execution in group:
                    execution.cut = False

    def _place(self, execution: Execution) -> None:
        """Find the slot of an execution; one that began before the stretch is input."""
        own = execution.outputs + execution.entries
        high = min(own) - 1 if own else self.until
        low = max(execution.cause, self.base)
        slot = max(low, min(self.slot_at(execution.started), high))
        began_before = (
            execution.cause <= self.base
            and self._log_times
            and (execution.started < self._log_times[0])
        )
        if not began_before:
            execution.slot = slot
            self.executions.append(execution)

    def _usual_lags(self) -> dict[str, int]:
        lags: dict[str, list[int]] = defaultdict(list)
        for x in self.executions:
            event = self.at(x.cause)
            if event is not None and x.attempt == 1 and len(lags[x.service]) < 1000:
                lags[x.service].append(max(0, x.started - event.time))
        return {service: int(median(some)) for service, some in lags.items() if some}


def _order(execution: Execution) -> tuple[int, int, int]:
    entry = execution.entries[0] if execution.entries else execution.slot
    return execution.slot, execution.started, entry
