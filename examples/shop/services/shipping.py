"""shipping: labels and parcels."""

from __future__ import annotations

from collections.abc import Iterator

from evdebug.sdk import Context, Event, New, Unavailable, subscriber


@subscriber("shipping", to="StockReserved")
def ship(event: Event, ctx: Context) -> Iterator[New]:
    """Send an order once its last line is set aside; an order is shipped once."""
    change = event.data["change"]
    if change["line"] < change["of"]:
        return
    order = ctx.state(change["order"])
    if "shipment" in order:
        ctx.skip(f"{change['order']} has left as {order['shipment']}")
        return
    shipment = change["shipment"]
    warehouse = ctx.state(event.stream)["warehouse"]
    to = {"name": order["customer"]["name"], "country": order["customer"]["country"]}
    created = {
        "shipment": shipment,
        "order": change["order"],
        "status": "label pending",
        "warehouse": warehouse,
        "parcels": 1,
        "to": to,
    }
    yield New("ShipmentCreated", shipment, created)
    request = {"shipment": shipment, "order": change["order"], "warehouse": warehouse, "to": to}
    label = ctx.call("carrier/labels", request)
    if label["status"] >= 500:
        raise Unavailable(label["error"])
    sent = {"carrier": label["carrier"], "tracking": label["tracking"]}
    yield New(
        "ShipmentDispatched", shipment, {"shipment": shipment, "status": "with carrier"} | sent
    )
    shipped = {
        "order": change["order"],
        "status": "shipped",
        "shipment": shipment,
        "parcels": 1,
        "customer": order["customer"],
    }
    yield New("OrderShipped", change["order"], shipped | sent)
