"""inventory: what is on hand, what is reserved, what has left the house.

One worker, because every change of a stock starts from the last one. A fault is planted here: an
order with two reservations of one product is never released (`release`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evdebug.sdk import Context, Event, New, Unavailable, subscriber
from examples.shop.catalogue import Product

# A change names all of these: what it left out would stay in the merged state from the last one.
NOTHING: dict[str, Any] = dict.fromkeys(
    ("order", "payment", "shipment", "qty", "line", "of", "purchase")
)


def listing(product: Product) -> Iterator[New]:
    """Put a product into the catalogue with what the house holds of it."""
    data = {
        "sku": product.sku,
        "name": product.name,
        "warehouse": product.warehouse,
        "on_hand": product.opening,
        "available": product.opening,
        "reserved": 0,
        "reservations": [],
        "on_order": 0,
        "reorder_at": product.reorder_at,
        "supplier": {"id": product.supplier, "lead_days": product.lead_days},
        "version": 1,
    }
    yield New("StockListed", f"stock-{product.sku}", data)


@subscriber("inventory", to="PaymentCaptured")
def reserve(event: Event, ctx: Context) -> Iterator[New]:
    """Set the goods of a paid order aside.

    A payment already served is a repeat. Two payments of one order look like two orders.
    """
    paid = event.data
    if paid["captures"] > 1 or served(paid, ctx):
        ctx.skip(f"{paid['payment']} has its goods")
        return
    places = [allocate(paid["order"], line, ctx) for line in paid["lines"]]
    lines = zip(paid["lines"], places, strict=True)
    for number, (line, place) in enumerate(lines, start=1):
        stock = ctx.state(f"stock-{line['sku']}")
        available = stock["available"] - line["qty"]
        low = available <= stock["reorder_at"] and not stock["on_order"]
        change = NOTHING | {
            "order": paid["order"],
            "payment": paid["payment"],
            "shipment": place["shipment"],
            "qty": line["qty"],
            "line": number,
            "of": len(paid["lines"]),
        }
        held = {"order": paid["order"], "qty": line["qty"], "payment": paid["payment"]}
        data = {
            "sku": line["sku"],
            "on_hand": stock["on_hand"],
            "available": available,
            "reserved": stock["reserved"] + line["qty"],
            "reservations": [*stock["reservations"], held],
            "on_order": stock["reorder_at"] * 3 if low else stock["on_order"],
            "change": change,
            "version": stock["version"] + 1,
        }
        yield New("StockReserved", f"stock-{line['sku']}", data, key=paid["order"])
        if low:
            yield reorder(stock, event)


@subscriber("inventory", to="OrderShipped")
def release(event: Event, ctx: Context) -> Iterator[New]:
    """Close the reservations of an order that left the house.

    Planted: which of two reservations of one product has left is not known, so nothing is said.
    """
    order, shipment = event.data["order"], event.data["shipment"]
    skus = dict.fromkeys(line["sku"] for line in ctx.state(order).get("lines", ()))
    stocks = [ctx.state(f"stock-{sku}") for sku in skus]
    closing = [
        [held for held in stock["reservations"] if held["order"] == order] for stock in stocks
    ]
    if not any(closing):
        ctx.skip(f"{order} holds no reservation any more")
        return
    if any(len(reservations) != 1 for reservations in closing):
        return
    for number, (stock, (gone,)) in enumerate(zip(stocks, closing, strict=True), start=1):
        qty = gone["qty"]
        change = NOTHING | {
            "order": order,
            "payment": gone["payment"],
            "shipment": shipment,
            "qty": -qty,
            "line": number,
            "of": len(stocks),
        }
        data = {
            "sku": stock["sku"],
            "on_hand": stock["on_hand"] - qty,
            "available": stock["available"],
            "reserved": stock["reserved"] - qty,
            "reservations": [held for held in stock["reservations"] if held is not gone],
            "change": change,
            "version": stock["version"] + 1,
        }
        yield New("StockReleased", f"stock-{stock['sku']}", data)


@subscriber("inventory", to="ReorderStock")
def order_goods(event: Event, ctx: Context) -> Iterator[New]:
    """Ask the supplier; the goods arrive on their own."""
    ctx.call("supplier/orders", event.data)
    yield from ()


@subscriber("inventory", to="GoodsArrived")
def receive(event: Event, ctx: Context) -> Iterator[New]:
    """Take goods in. Reservations of orders that have left the house are cleared on the way."""
    sku, qty = event.data["sku"], event.data["qty"]
    stock = ctx.state(f"stock-{sku}")
    kept = [held for held in stock["reservations"] if waits(held["order"], ctx)]
    reserved = sum(held["qty"] for held in kept)
    on_hand = stock["on_hand"] - (stock["reserved"] - reserved) + qty
    data = {
        "sku": sku,
        "on_hand": on_hand,
        "available": on_hand - reserved,
        "reserved": reserved,
        "reservations": kept,
        "on_order": 0,
        "change": NOTHING | {"qty": qty, "purchase": event.stream},
        "version": stock["version"] + 1,
    }
    yield New("StockReceived", f"stock-{sku}", data)


def served(paid: dict[str, Any], ctx: Context) -> bool:
    """Return whether a payment has reservations already."""
    for line in paid["lines"]:
        held = ctx.state(f"stock-{line['sku']}").get("reservations", [])
        if any(each["payment"] == paid["payment"] for each in held):
            return True
    return False


def allocate(order: str, line: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """Ask the warehouse for a place to pick from; it also opens the order's shipment."""
    house = ctx.state(f"stock-{line['sku']}")["warehouse"]
    request = {"order": order, "sku": line["sku"], "qty": line["qty"], "warehouse": house}
    answer: dict[str, Any] = ctx.call("wms/allocate", request)
    if answer["status"] >= 500:
        raise Unavailable(answer["error"])
    return answer


def reorder(stock: dict[str, Any], event: Event) -> New:
    """Return the command to buy more, as the start of a flow of its own."""
    sku = stock["sku"]
    data = {
        "purchase": f"purchase-{event.data['order'].removeprefix('order-')}-{sku}",
        "sku": sku,
        "qty": stock["reorder_at"] * 3,
        "supplier": stock["supplier"]["id"],
        "lead_days": stock["supplier"]["lead_days"],
    }
    correlation = f"r-{event.correlation.removeprefix('c-')}-{sku}"
    return New("ReorderStock", data["purchase"], data, kind="command", correlation=correlation)


def waits(order: str, ctx: Context) -> bool:
    """Return whether an order still waits for its goods."""
    return ctx.state(order).get("status") in ("placed", "paid")
