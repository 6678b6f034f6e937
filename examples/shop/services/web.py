"""web: the pages customers see. It places orders and registers customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evdebug.sdk import Context, Event, New, subscriber


def checkout(order: str, cart: dict[str, Any]) -> Iterator[New]:
    """Place an order: the start of everything else."""
    total = round(sum(line["price"] * line["qty"] for line in cart["lines"]), 2)
    data = {
        "order": order,
        "status": "placed",
        "customer": cart["customer"],
        "lines": cart["lines"],
        "total": total,
        "currency": "EUR",
        "captured": 0.0,
        "due": total,
        "payment": {"method": cart["method"], "token": cart["token"]},
    }
    yield New("OrderPlaced", order, data)


def register(customer: dict[str, Any]) -> Iterator[New]:
    """Open an account."""
    yield New("CustomerRegistered", customer["id"], {**customer, "newsletter": False})


def move(customer: dict[str, Any], country: str) -> Iterator[New]:
    """Note a new address."""
    data = {"id": customer["id"], "country": country, "moved_from": customer["country"]}
    yield New("CustomerMoved", customer["id"], data)


@subscriber("web", to="StockReleased")
def refresh_product_page(event: Event, ctx: Context) -> Iterator[New]:
    """Show the new number of pieces; nothing to tell anybody."""
    yield from ()
