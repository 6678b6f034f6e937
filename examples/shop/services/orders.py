"""orders: keeps what was ordered, paid and shipped. Repeats change nothing here."""

from __future__ import annotations

from collections.abc import Iterator

from evdebug.sdk import Context, Event, New, subscriber


@subscriber("orders", to="OrderPlaced")
def note(event: Event, ctx: Context) -> Iterator[New]:
    """Take the order into the books."""
    yield from ()


@subscriber("orders", to="PaymentCaptured")
def mark_paid(event: Event, ctx: Context) -> Iterator[New]:
    """Say that an order is paid, once, whatever else is captured for it."""
    order, payment = event.data["order"], event.data["payment"]
    known = ctx.state(order)
    if known.get("status") != "placed":
        ctx.skip(f"{order} is {known.get('status')} already, by {known.get('paid_by')}")
        return
    captured = round(known["captured"] + event.data["amount"], 2)
    data = {
        "order": order,
        "status": "paid",
        "captured": captured,
        "due": round(known["total"] - captured, 2),
        "paid_by": payment,
    }
    yield New("OrderPaid", order, data)


@subscriber("orders", to="PaymentFailed")
def cancel(event: Event, ctx: Context) -> Iterator[New]:
    """Cancel an order nobody paid for."""
    order = event.data["order"]
    if ctx.state(order).get("status") != "placed":
        ctx.skip(f"{order} is {ctx.state(order).get('status')}")
        return
    data = {"order": order, "status": "cancelled", "reason": event.data["reason"], "due": 0.0}
    yield New("OrderCancelled", order, data)


@subscriber("orders", to="OrderShipped")
def close(event: Event, ctx: Context) -> Iterator[New]:
    """Close the books on an order."""
    yield from ()
