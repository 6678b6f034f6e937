"""Who is told what, and how well: one row per subscriber, one cell per subscriber and type.

Counts by outcome are of the whole log. The rest is of the deliveries looked at, the newest of
each subscriber and outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apps.eventlog.envelope import isoformat
from apps.traces.deliveries import Delivery

OUTCOMES = ("handled", "failed", "dead_lettered", "skipped")
EXACT, AGAIN, LOST = "=1", "≥1", "≤1"


class Seen(NamedTuple):
    """One delivery looked at, with what is known of its event."""

    delivery: Delivery
    type: str  # of the event, "" where it is not in the log
    tap: str
    at: int  # log_time


class Lag(NamedTuple):
    """How far a bus said a subscriber is behind on one channel, µs of the log's time."""

    channel: str
    behind: int
    at: int
    position: int


@dataclass
class Cell:
    """What is known of one subscriber and one type of event, or of all types."""

    seen: int = 0
    settled: int = 0  # those handled, which `rate` counts
    outcomes: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    twice: list[int] = field(default_factory=list)  # events that were handled again
    dead: list[int] = field(default_factory=list)  # events given up
    times: list[int] = field(default_factory=list)  # µs in hand
    first_at: int | None = None  # of those handled

    @property
    def sign(self) -> str:
        """How often an event is handled, as far as was observed; "" of nothing."""
        if self.dead:
            return LOST
        if self.twice:
            return AGAIN
        return EXACT if self.outcomes["handled"] else ""

    def took(self, share: float) -> int | None:
        """Return the handling time that `share` of the deliveries do not exceed."""
        if not self.times:
            return None
        ordered = sorted(self.times)
        return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]

    def rate(self, now: int) -> float | None:
        """Return events handled a second up to a moment; None of fewer than two.

        Failures do not count: among the newest of each outcome they are of a longer time.
        """
        if self.first_at is None or self.settled < 2 or now <= self.first_at:
            return None
        return self.settled * 1_000_000 / (now - self.first_at)

    def add(self, seen: Seen, handled: Counter[int]) -> None:
        """Count a delivery; `handled` counts this subscriber's by event."""
        d = seen.delivery
        self.seen += 1
        self.outcomes[d.outcome] += 1
        self.retries += d.attempt > 1
        if d.outcome == "handled" and handled[d.event] == 2:
            self.twice.append(d.event)
        if d.outcome == "dead_lettered":
            self.dead.append(d.event)
        if d.took is not None:
            self.times.append(max(0, d.took))
        if d.outcome == "handled":
            self.settled += 1
            self.first_at = seen.at if self.first_at is None else min(self.first_at, seen.at)


@dataclass
class Subscriber:
    """One subscriber as of a moment."""

    name: str
    totals: Counter[str]  # by outcome, of the whole log
    all: Cell = field(default_factory=Cell)
    types: dict[str, Cell] = field(default_factory=dict)
    taps: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    lags: list[Lag] = field(default_factory=list)
    last: Delivery | None = None  # the newest that was handled
    last_at: int | None = None

    @property
    def lag(self) -> int | None:
        """Events it is behind on all channels, None where no bus says."""
        return sum(lag.behind for lag in self.lags) if self.lags else None

    @property
    def failed(self) -> int:
        """Attempts that failed, in the whole log."""
        return self.totals["failed"] + self.totals["dead_lettered"]

    @property
    def told(self) -> int:
        """Attempts that ended, in the whole log."""
        return sum(self.totals[outcome] for outcome in OUTCOMES)

    @property
    def passed(self) -> int:
        """Deliveries looked at that are known by nothing but its place having passed them."""
        return self.evidence["offset"]

    @property
    def has_problem(self) -> bool:
        """Whether somebody should look."""
        return bool(self.all.dead or self.all.twice or self.totals["dead_lettered"] or self.lag)


def gathered(
    name: str, totals: Mapping[str, int], seen: Iterable[Seen], lags: Iterable[Lag]
) -> Subscriber:
    """Return a subscriber made of what was seen of it."""
    made = Subscriber(name, Counter(totals), lags=sorted(lags))
    handled: Counter[int] = Counter()
    for each in sorted(seen, key=lambda s: s.delivery.position or 0):
        d = each.delivery
        handled[d.event] += d.outcome == "handled"
        made.all.add(each, handled)
        made.types.setdefault(each.type, Cell()).add(each, handled)
        made.taps[each.tap] += 1
        made.evidence[d.evidence] += 1
        if d.group:
            made.groups[d.group] += 1
        if d.error:
            made.errors[d.error] += 1
        if d.outcome == "handled":
            made.last, made.last_at = d, each.at
    return made


def jsonable_subscriber(one: Subscriber) -> dict[str, Any]:
    """Return a subscriber as programs read it."""
    return {
        "subscriber": one.name, "observed": one.all.sign,
        "attempts": {outcome: one.totals[outcome] for outcome in OUTCOMES},
        "retries": one.all.retries, "lag": one.lag,
        "lags": [
            {"channel": lag.channel, "lag": lag.behind, "at": isoformat(lag.at)} for lag in one.lags
        ],
        "last_handled": {"position": one.last.position, "time": isoformat(one.last_at)}
        if one.last and one.last_at is not None else None,
        "taps": sorted(tap for tap in one.taps if tap), "groups": sorted(one.groups),
        "evidence": dict(one.evidence),
        "types": [
            {"type": name, "observed": cell.sign, "seen": cell.seen, "p99_us": cell.took(0.99)}
            for name, cell in sorted(one.types.items()) if name
        ],
    }  # fmt: skip
