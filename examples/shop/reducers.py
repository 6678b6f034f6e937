"""The shop's states as code: `EVDEBUG_CODE=examples.shop.reducers`.

`refunds` has a bug, planted for whoever learns to find one: it takes for granted what not every
event of a payment brings.
"""

from __future__ import annotations

from typing import Any

from evdebug.sdk import Event, reducer, upcast


@upcast("OrderPlaced", from_version=1)
def with_lines(data: dict[str, Any]) -> dict[str, Any]:
    """Old orders had their only line spread over the order."""
    if "lines" in data or "sku" not in data:
        return data
    line = {"sku": data["sku"], "qty": data.get("qty", 1)}
    return {**{k: v for k, v in data.items() if k not in ("sku", "qty")}, "lines": [line]}


def patched(state: dict[str, Any] | None, data: Any) -> dict[str, Any]:
    """Return a state with what an event says; null takes a field away."""
    merged = {**(state or {}), **(data if isinstance(data, dict) else {})}
    return {name: value for name, value in merged.items() if value is not None}


@reducer("order", streams="order-*", version=2)
def order(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """What an order is, and the steps it took."""
    steps = [*(state or {}).get("steps", []), event.type][-50:]
    return {**patched(state, event.data), "steps": steps}


@reducer("payment", streams="payment-*")
def payment(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """What a payment is, and how often it was captured."""
    captures = (state or {}).get("captures", 0) + (event.type == "PaymentCaptured")
    return {**patched(state, event.data), "captures": captures}


@reducer("stock", streams="stock-*")
def stock(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """What is on the shelf, and the lowest it ever was."""
    now = patched(state, event.data)
    known = [n for n in (now.get("lowest"), now.get("available")) if isinstance(n, int)]
    return {**now, "lowest": min(known)} if known else now


@reducer("shipment", streams="shipment-*")
def shipment(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """Where a parcel is."""
    return {**patched(state, event.data), "last": event.type}


@reducer("daily-totals", key=None)
def daily_totals(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """How many events of each type there were on each day: one state of all."""
    day = str(event.time // 86_400_000)
    days = dict(state or {})
    counts = dict(days.get(day, {}))
    counts[event.type] = counts.get(event.type, 0) + 1
    return {**days, day: counts}


@reducer("refunds", streams="payment-*")
def refunds(state: dict[str, Any] | None, event: Event) -> dict[str, Any]:
    """What was given back: wrong for payments without a refund, which it did not expect."""
    before = (state or {}).get("refunded", 0)
    return {"refunded": before + event.data["refund"]["cents"]}
