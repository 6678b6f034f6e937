"""A system with some history, for pages to show: sent through the doors as any program would."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from tests.running import Evdebug, System

ORDERS = 120
STEP = 5.0  # seconds between orders
_numbers = itertools.count(1)


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def system(server: Evdebug, *, orders: int = ORDERS) -> System:
    """Make a system of its own: orders every five seconds up to now, each paid and mailed.

    Positions: order n is 4n + 1 OrderPlaced, + 2 its delivery to payments (failed for every 40th),
    + 3 PaymentCaptured, + 4 its delivery to email.
    """
    made = server.system(f"shop-{next(_numbers)}")
    began = time.time() - orders * STEP
    batch: list[dict[str, Any]] = []
    for n in range(orders):
        at = began + n * STEP
        placed, paid = f"{made.slug}-o{n}", f"{made.slug}-p{n}"
        batch.append({"id": placed, "type": "OrderPlaced", "source": "/web", "stream": f"order-{n}",
                      "time": stamp(at), "correlation": f"c-{n}", "channel": "orders",
                      "data": {"total": n, "lines": [{"sku": "SKU7", "qty": 1}]}})  # fmt: skip
        send(made, batch)
        outcome = "failed" if n % 40 == 39 else "handled"
        report(made, placed, "payments", outcome, at + 1)
        batch = [{"id": paid, "type": "PaymentCaptured", "source": "/payments",
                  "stream": f"payment-{n}", "time": stamp(at + 2), "correlation": f"c-{n}",
                  "causation": placed, "data": {"amount": n}}]  # fmt: skip
        send(made, batch)
        report(made, paid, "email", "handled", at + 3)
        batch = []
    return made


def send(made: System, events: list[dict[str, Any]], path: str = "/v1/events") -> dict[str, Any]:
    status, answer = made.send(*events, path=path)
    assert status == 200, answer
    assert not answer["rejected"], answer
    return dict(answer)


def report(made: System, event: str, subscriber: str, outcome: str, at: float) -> None:
    source = "/payments" if "-p" in event else "/web"
    told = {"event": {"id": event, "source": source}, "subscriber": subscriber, "attempt": 1,
            "outcome": outcome, "started_at": stamp(at), "finished_at": stamp(at + 0.2)}  # fmt: skip
    send(made, [told], "/v1/deliveries")
