"""payments, v2.14: asks the provider for the money.

Two faults are planted here; README.md tells what they lead to.

1. `authorize` sends no idempotency key. When OrderPlaced is delivered a second time, the provider
   takes it for a second payment.
2. `capture` asks again until the provider has settled, new in v2.14, and publishes
   PaymentCaptured for every answer instead of for the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evdebug.sdk import Context, Event, New, Unavailable, subscriber

VERSION = "v2.14"
QUESTIONS = 8  # to the provider, before a payment is left to a person


@subscriber("payments", to="OrderPlaced")
def authorize(event: Event, ctx: Context) -> Iterator[New]:
    """Reserve the money on the customer's card."""
    order = event.data
    answer = ctx.call(
        "acquire/authorize",
        {
            "order": order["order"],
            "amount": order["total"],
            "currency": order["currency"],
            "token": order["payment"]["token"],
            "terminal": event.partition,
            "idempotency_key": None,
        },
    )
    if answer["status"] >= 500:
        raise Unavailable(answer["error"])
    payment = {
        "payment": answer["payment"],
        "order": order["order"],
        "amount": order["total"],
        "total": order["total"],
        "currency": order["currency"],
        "method": order["payment"]["method"],
        "customer": order["customer"],
        "lines": order["lines"],
        "psp": {"provider": "acquire", "reference": answer["reference"], "idempotency_key": None},
    }
    if answer["status"] == 402:
        failed = {"status": "failed", "captured": 0.0, "reason": answer["reason"]}
        yield New("PaymentFailed", answer["payment"], payment | failed)
    else:
        authorized = {"status": "authorized", "captured": 0.0}
        yield New("PaymentAuthorized", answer["payment"], payment | authorized)


@subscriber("payments", to="PaymentAuthorized")
def capture(event: Event, ctx: Context) -> Iterator[New]:
    """Take the money. A payment under review stays authorized until a person looks at it."""
    for question in range(1, QUESTIONS + 1):
        answer = ctx.call("acquire/capture", request(event.data))
        if answer["status"] >= 500:
            raise Unavailable(answer["error"])
        if answer["state"] == "review":
            return
        yield New("PaymentCaptured", event.stream, captured(event.data, question))
        if answer["state"] == "settled":
            return


def request(payment: dict[str, Any]) -> dict[str, Any]:
    """Return what the provider wants to know to capture a payment."""
    return {
        "payment": payment["payment"],
        "order": payment["order"],
        "reference": payment["psp"]["reference"],
        "amount": payment["amount"],
    }


def captured(payment: dict[str, Any], question: int) -> dict[str, Any]:
    """Return the payment as it is once captured; `captures` counts the provider's answers."""
    money = {"status": "captured", "captured": payment["amount"], "captures": question}
    return payment | money
