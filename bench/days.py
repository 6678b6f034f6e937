"""Days of a small company's events, with troubles put in where nothing of it was tuned on them.

Orders come by chance at a pace that follows the hour; each leads to some events of other services,
and each event is told to subscribers that take log-normal times and sometimes fail. A campaign
makes an hour a third busier, which is no trouble.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from msgspec.json import encode

from apps.eventlog.envelope import Envelope, isoformat

START = 1_779_667_200_000_000  # 2026-05-25T00:00Z, µs
SECOND = 1_000_000
PACE = 0.25  # orders a second, on average over the day
FIRST_S = 2 * 3600  # before the first trouble
BETWEEN_S = 3600  # from the end of one to the next, at least
LASTS_S = 300

# type, source, seconds after the one before, share of orders
STEPS = (
    ("OrderPlaced", "/web", 0.0, 1.0),
    ("PaymentAuthorized", "/payments", 0.4, 0.97),
    ("PaymentCaptured", "/payments", 1.1, 0.96),
    ("StockReserved", "/inventory", 0.5, 0.95),
    ("OrderShipped", "/shipping", 20.0, 0.9),
    ("EmailSent", "/email", 1.5, 1.2),
)
# subscriber, type it is told, typical time in hand (s), its spread (log), share that fails
TOLD = (
    ("payments", "OrderPlaced", 0.25, 0.5, 0.01),
    ("inventory", "PaymentCaptured", 0.12, 0.7, 0.02),
    ("shipping", "StockReserved", 0.9, 0.4, 0.005),
    ("email", "OrderShipped", 0.3, 1.0, 0.03),
)
TROUBLES = ("repeated", "silent", "failing", "slow", "stalled", "rush")


@dataclass(frozen=True)
class Trouble:
    """Something wrong from `start` to `end` (s of the day), and what it is wrong with."""

    kind: str
    start: float
    end: float
    subject: str

    def holds(self, at: float) -> bool:
        return self.start <= at < self.end


def troubles(rng: Random, hours: float) -> list[Trouble]:
    """Return the troubles of a day, in order, each kind in turn."""
    found: list[Trouble] = []
    at = FIRST_S + rng.random() * BETWEEN_S
    kinds = rng.sample(TROUBLES, len(TROUBLES))
    while at + LASTS_S + BETWEEN_S / 2 < hours * 3600:
        kind = kinds[len(found) % len(kinds)]
        subject = {
            "repeated": "PaymentCaptured", "silent": "StockReserved", "rush": "OrderPlaced",
            "failing": "email", "slow": "payments", "stalled": "inventory",
        }[kind]  # fmt: skip
        found.append(Trouble(kind, at, at + LASTS_S, subject))
        at += LASTS_S + BETWEEN_S * (1 + rng.random())
    return found


def day(seed: int, hours: float) -> tuple[list[Trouble], Iterator[Envelope]]:
    """Return the troubles of a day and its events in order of time."""
    rng = Random(seed)
    planted = troubles(rng, hours)
    made = [*_orders(rng, planted, hours)]
    made.sort(key=lambda envelope: envelope.time or 0)
    return planted, iter(made)


def _orders(rng: Random, planted: list[Trouble], hours: float) -> Iterator[Envelope]:
    at, number, campaign = 0.0, 0, rng.random() * hours * 3600
    while (at := at + rng.expovariate(_pace(at, planted, campaign))) < hours * 3600:
        number += 1
        yield from _order(rng, planted, at, number)


def _pace(at: float, planted: list[Trouble], campaign: float) -> float:
    by_hour = 1 + 0.6 * math.sin(2 * math.pi * (at / 86_400 - 0.3))
    rush = 3.0 if any(t.kind == "rush" and t.holds(at) for t in planted) else 1.0
    return PACE * by_hour * rush * (1.33 if campaign <= at < campaign + 3600 else 1.0)


def _order(rng: Random, planted: list[Trouble], at: float, number: int) -> Iterator[Envelope]:
    cause = ""
    for type_, source, after, share in STEPS:
        at += rng.expovariate(1 / after) if after else 0.0
        times = int(share) + (rng.random() < share % 1)
        if _wrong(planted, "silent", type_, at):
            times = 0
        elif _wrong(planted, "repeated", type_, at):
            times *= 3
        for n in range(times):
            id_ = f"{number}-{type_}-{n}"
            yield Envelope(
                type=type_, id=id_, source=source, stream=f"order-{number}", channel="shop",
                time=_us(at), correlation=f"c-{number}", causation=cause, data=b"{}",
            )  # fmt: skip
            yield from _told(rng, planted, type_, id_, source, at)
            cause = id_


def _told(
    rng: Random, planted: list[Trouble], type_: str, id_: str, source: str, at: float
) -> Iterator[Envelope]:
    for subscriber, wants, typical, spread, fails in TOLD:
        if wants != type_ or _wrong(planted, "stalled", subscriber, at):
            continue
        took = typical * math.exp(rng.gauss(0, spread))
        took *= 5 if _wrong(planted, "slow", subscriber, at) else 1
        began = at + 0.02 + rng.expovariate(20)
        failed = rng.random() < (0.7 if _wrong(planted, "failing", subscriber, at) else fails)
        times = {"started_at": began, "finished_at": began + took}
        data = encode({name: isoformat(_us(moment)) for name, moment in times.items()})
        yield Envelope(
            type="failed" if failed else "handled", id=f"{id_}-{subscriber}", kind="delivery",
            source=f"/{subscriber}", time=_us(began + took), causation=id_,
            causation_source=source, data=data,
        )  # fmt: skip


def _wrong(planted: list[Trouble], kind: str, subject: str, at: float) -> bool:
    return any(t.kind == kind and t.subject == subject and t.holds(at) for t in planted)


def _us(at: float) -> int:
    return START + round(at * SECOND)
