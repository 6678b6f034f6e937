"""email: tells customers. Nothing here remembers which event a mail was for, so repeats repeat."""

from __future__ import annotations

from collections.abc import Iterator

from evdebug.sdk import Context, Event, New, Unavailable, subscriber


@subscriber("email", to="OrderPlaced")
def order_received(event: Event, ctx: Context) -> Iterator[New]:
    yield send("order received", "We have your order", event, ctx)


@subscriber("email", to="PaymentCaptured")
def receipt(event: Event, ctx: Context) -> Iterator[New]:
    if event.data["captures"] > 1:
        ctx.skip(f"the receipt for {event.data['payment']} is on its way")
        return
    yield send("receipt", f"Your payment of {event.data['amount']:.2f} EUR", event, ctx)


@subscriber("email", to="PaymentFailed")
def payment_failed(event: Event, ctx: Context) -> Iterator[New]:
    yield send("payment failed", "Your payment did not go through", event, ctx)


@subscriber("email", to="OrderShipped")
def tracking(event: Event, ctx: Context) -> Iterator[New]:
    yield send("tracking", f"On its way: {event.data['tracking']}", event, ctx)


def send(template: str, subject: str, event: Event, ctx: Context) -> New:
    """Send one mail about an order and return the event that says so."""
    order, to = event.data["order"], event.data["customer"]["email"]
    request = {"to": to, "subject": subject, "template": template, "order": order}
    answer = ctx.call("smtp/send", request)
    if answer["status"] != 250:
        raise Unavailable(answer["error"])
    sent = ctx.state(order).get("mails", {}).get(template, 0)
    mail = {
        "template": template,
        "to": to,
        "subject": subject,
        "message_id": answer["message_id"],
    }
    return New("EmailSent", order, {"order": order, "mail": mail, "mails": {template: sent + 1}})
