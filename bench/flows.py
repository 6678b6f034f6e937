"""Events as a shop would make them: many orders under way at once, each with its own correlation.

An order is a tree of about ten events of six services, each naming its cause. Streams are mostly
of the moment (an order, its payment, its parcel), some are old friends (a stock item, a customer).
Ids are random version-4 UUIDs, the worst case for an index. Seeded: the same events on every run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from apps.eventlog.envelope import Envelope

START = 1_778_000_000_000_000  # 2026-05-05, in µs
PACE = 25_000  # µs between events: 40 a second
UNDER_WAY = 200  # orders at once
ITEMS, CUSTOMERS = 5000, 20_000

# (type, source, stream, index of the cause within the order)
STEPS = (
    ("shop.order.placed", "/web", "order-{n}", None),
    ("shop.payment.requested", "/orders", "payment-{n}", 0),
    ("shop.stock.reserved", "/inventory", "stock-{item}", 0),
    ("shop.payment.authorized", "/payments", "payment-{n}", 1),
    ("shop.payment.captured", "/payments", "payment-{n}", 3),
    ("shop.order.paid", "/orders", "order-{n}", 4),
    ("shop.mail.sent", "/email", "customer-{customer}", 5),
    ("shop.parcel.packed", "/shipping", "parcel-{n}", 5),
    ("shop.stock.taken", "/inventory", "stock-{item}", 7),
    ("shop.order.shipped", "/orders", "order-{n}", 7),
)


@dataclass
class Order:
    number: int
    item: int
    customer: int
    correlation: str
    ids: list[str] = field(default_factory=list)


def uuid4(rng: random.Random) -> str:
    """Return a random version-4 UUID in its usual spelling, several times as fast as uuid.UUID."""
    bits = rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def events(*, seed: int = 1) -> Iterator[Envelope]:
    """Yield envelopes without end, in order of time, about 400 bytes of data each."""
    rng = random.Random(seed)
    number = 0
    under_way: list[Order] = []
    time = START
    while True:
        if len(under_way) < UNDER_WAY:
            number += 1
            item, customer = rng.randrange(ITEMS), rng.randrange(CUSTOMERS)
            under_way.append(Order(number, item, customer, uuid4(rng)))
        which = rng.randrange(len(under_way))
        order = under_way[which]
        time += PACE
        yield _next(order, rng, time)
        if len(order.ids) == len(STEPS):
            under_way[which] = under_way[-1]
            under_way.pop()


def _next(order: Order, rng: random.Random, time: int) -> Envelope:
    step = len(order.ids)
    type_, source, stream, cause = STEPS[step]
    id_ = uuid4(rng)
    order.ids.append(id_)
    named = stream.format(n=order.number, item=order.item, customer=order.customer)
    return Envelope(
        type=type_, id=id_, source=source, stream=named, time=time,
        correlation=order.correlation, causation="" if cause is None else order.ids[cause],
        channel="shop", data=_data(order, rng, step),
    )  # fmt: skip


def _data(order: Order, rng: random.Random, step: int) -> bytes:
    noise = f"{rng.getrandbits(512):0128x}"
    total = rng.randrange(500, 90_000)
    return (
        f'{{"order":"order-{order.number}","step":{step},"customer":{{"id":{order.customer},'
        f'"name":"Ada Lovelace","mail":"ada{order.number}@example.org"}},"lines":[{{"item":'
        f'"item-{order.item}","quantity":{1 + step % 3},"cents":{total}}}],"total":{total},'
        f'"currency":"EUR","address":{{"street":"Analytical Row 12","city":"London","zip":"N1"}},'
        f'"signature":"{noise}"}}'
    ).encode()
