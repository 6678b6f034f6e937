"""The bus the services talk over: what any bus must do, and the shop's four channels.

`MemoryBus` in memory.py is the one that needs no server. Another bus is one class with the three
methods of `Bus`; nothing above it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from zlib import adler32

from evdebug.sdk import Event

Verdict = Literal["done", "retry", "dead"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A named place on the bus.

    partitions  lanes that keep their order; an event's key picks the lane
    in_place    a failed delivery holds its lane until it is tried again (a log), instead of
                stepping aside for the ones behind it (a queue)
    coordinates what the bus tells about where an event is: its partition and offset, only a
                sequence number, an entry id made of the time, or nothing
    """

    name: str
    partitions: int
    in_place: bool
    coordinates: Literal["partition", "sequence", "entry", ""]


CHANNELS = {
    channel.name: channel
    for channel in (
        Channel("orders", 6, True, "partition"),  # as Kafka does it
        Channel("shop", 4, False, ""),  # as RabbitMQ
        Channel("STOCK", 3, False, "sequence"),  # as NATS JetStream
        Channel("mail", 1, False, "entry"),  # as Redis Streams
    )
}

CHANNEL_OF = {
    "OrderPlaced": "orders",
    "OrderPaid": "orders",
    "OrderCancelled": "orders",
    "OrderShipped": "orders",
    "ShipmentCreated": "orders",
    "ShipmentDispatched": "orders",
    "CustomerRegistered": "orders",
    "CustomerMoved": "orders",
    "PaymentAuthorized": "shop",
    "PaymentCaptured": "shop",
    "PaymentFailed": "shop",
    "StockListed": "STOCK",
    "StockReserved": "STOCK",
    "StockReleased": "STOCK",
    "StockReceived": "STOCK",
    "ReorderStock": "STOCK",
    "GoodsArrived": "STOCK",
    "EmailSent": "mail",
}


@dataclass(slots=True, eq=False)
class Received:
    """One event in the hands of one consumer group. `attempt` counts from 1."""

    event: Event
    group: str
    attempt: int


class Bus(Protocol):
    """Carries events to consumer groups, at least once.

    An event reaches every group that subscribed to its type. Events with one key reach a group in
    the order they were published, one after the other. What a group has not settled, or settled
    without the bus taking note of it, comes again with a higher `attempt`.
    """

    def publish(self, event: Event) -> None:
        """Put `event` onto its channel and fill in its bus coordinates."""
        ...

    def subscribe(
        self, group: str, type: str, handle: Callable[[Received], None], *, workers: int = 0
    ) -> None:
        """Hand every event of `type` to `handle`, which settles it now or later.

        workers  how many deliveries the group handles at once over all its types; 0: any number
        """
        ...

    def settle(self, received: Received, *, ok: bool) -> Verdict:
        """End a delivery. Not ok: `retry` if it will come again, `dead` if it was given up."""
        ...


def lane(key: str, partitions: int) -> int:
    """Return the partition of a key. The same key always gets the same one."""
    return adler32(key.encode()) % partitions
