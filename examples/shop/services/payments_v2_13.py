"""payments as it was before v2.14: it takes the provider's first answer for the last."""

from __future__ import annotations

from collections.abc import Iterator

from evdebug.sdk import Context, Event, New, Unavailable, subscriber
from examples.shop.services.payments import authorize, captured, request

__all__ = ["authorize", "capture"]  # authorize did not change

VERSION = "v2.13"


@subscriber("payments", to="PaymentAuthorized")
def capture(event: Event, ctx: Context) -> Iterator[New]:
    """Take the money."""
    answer = ctx.call("acquire/capture", request(event.data))
    if answer["status"] >= 500:
        raise Unavailable(answer["error"])
    if answer["state"] != "review":
        yield New("PaymentCaptured", event.stream, captured(event.data, 1))
