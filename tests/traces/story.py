"""A history with one trace in which everything goes wrong, among many ordinary ones."""

from __future__ import annotations

import json

from apps.eventlog.envelope import Envelope, isoformat
from tests.factories import NOON, envelope

MS = 1000
SECOND = 1_000_000
WRONG = "c-wrong"


def told(event: str, by: str, outcome: str, at: int, took: int, **more: object) -> Envelope:
    """Return a report of a delivery begun at `at` µs that took `took` µs."""
    data = {
        "event": {"id": event}, "subscriber": by, "outcome": outcome,
        "started_at": isoformat(at), "finished_at": isoformat(at + took), **more,
    }  # fmt: skip
    attempt = more.get("attempt", 1)
    return envelope(
        kind="delivery", type=outcome, source=by, causation=event, time=at + took,
        id=f"d-{event}-{by}-{outcome}-{attempt}", data=json.dumps(data).encode(),
    )  # fmt: skip


def made(n: str, kind: str, by: str, at: int, cause: str = "", **more: object) -> Envelope:
    """Return an event of trace `n`."""
    return envelope(
        id=f"{n}-{kind}", type=kind, source=f"/{by}", time=at, correlation=f"c-{n}",
        causation=cause and f"{n}-{cause}", stream=f"order-{n}", **more,
    )  # fmt: skip


def ordinary(n: int) -> list[Envelope]:
    """Return a trace as most are: ordered, charged, shipped, released."""
    t, c = NOON + n * SECOND, str(n)
    charged, shipped = t + (100 + n % 7) * MS, t + (700 + n % 50) * MS
    return [
        made(c, "Ordered", "web", t),
        told(f"{c}-Ordered", "bank", "handled", t + 10 * MS, charged - t),
        made(c, "Charged", "bank", charged, "Ordered", data={"amount": 129.0, "currency": "EUR"}),
        told(f"{c}-Charged", "depot", "handled", charged + 10 * MS, shipped - charged),
        made(c, "Shipped", "depot", shipped, "Charged"),
        told(f"{c}-Shipped", "stock", "handled", shipped + 10 * MS, 20 * MS),
        told(f"{c}-Shipped", "mail", "handled", shipped + 10 * MS, 20 * MS),
        made(c, "Released", "stock", shipped + 20 * MS, "Shipped"),
    ]


def wrong(t: int) -> list[Envelope]:
    """Return the trace with the four problems of the design."""
    c = "wrong"
    shipped = t + 5400 * MS
    mail = [
        told(f"{c}-Shipped", "mail", outcome, shipped + n * SECOND, 10 * MS, attempt=n + 1,
             error="451 Greylisted")
        for n, outcome in enumerate(["failed", "failed", "dead_lettered"])
    ]  # fmt: skip
    again = envelope(
        id="wrong-again", type="Charged", source="/bank", time=t + 2950 * MS, stream="order-wrong",
        correlation=WRONG, causation="wrong-Ordered", data={"amount": 129.0, "currency": "EUR"},
    )  # fmt: skip
    return [
        made(c, "Ordered", "web", t),
        told(f"{c}-Ordered", "bank", "handled", t + 10 * MS, 100 * MS),
        made(c, "Charged", "bank", t + 100 * MS, "Ordered",
             data={"amount": 129.0, "currency": "EUR"}),
        told(f"{c}-Ordered", "bank", "handled", t + 2830 * MS, 150 * MS, attempt=2),
        again,
        told("wrong-again", "depot", "skipped", t + 2960 * MS, 5 * MS),
        told(f"{c}-Charged", "depot", "handled", t + 110 * MS, 5300 * MS),
        made(c, "Shipped", "depot", shipped, "Charged"),
        told(f"{c}-Shipped", "stock", "handled", shipped + 5 * MS, 5 * MS),
        *mail,
    ]  # fmt: skip


def history(count: int = 120) -> list[Envelope]:
    """Return the wrong trace between ordinary ones."""
    before = [e for n in range(count) for e in ordinary(n)]
    after = [e for n in range(count + 10, count + 14) for e in ordinary(n)]
    return [*before, *wrong(NOON + count * SECOND), *after]
