"""The numbers on things: orders, payments, shipments, customers, flows.

A shop with a past numbers so that the planted order comes out as order-1042, its payments as
payment-9f21 and payment-9f22, its shipment as shipment-771 and its flow as c-7f3a91, wherever in
the sequence it stands. A shop without one draws from ranges that belong to its start time, so that
one started later never meets the numbers of one before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count

from examples.shop.bus import CHANNELS, lane

ORDER = 1042
PAYMENT = 0x9F21
SHIPMENT = 771
FLOW = 0x7F3A91
WAREHOUSE = "LEJ2"  # where the planted order's only line is kept, and nothing else

EPOCH = 1_735_689_600_000  # 2025-01-01: numbers of a shop without a past count from here
SPREAD = 9_176_263  # odd, so multiplying by it modulo a power of two meets every value once
TERMINALS = CHANNELS["orders"].partitions
BLOCK = 0x1800  # payment numbers of one terminal before it draws from the common rest


def orders(before: int) -> Iterator[int]:
    """Yield order numbers, each once; the one after `before` others is ORDER."""
    top = 10_000 if before <= 5_000 else 10_000_000
    past = max(0, before - (ORDER - 1_000))
    first = 1_000 if past else ORDER - before
    return chain(range(top - past, top), range(first, top - past), count(top))


class Numbering:
    """The numbers of a shop in which `before` orders come before the planted one."""

    def __init__(self, before: int, *, earlier_shipments: int) -> None:
        self.before = before
        self._orders = orders(before)
        earlier = (number for number, _ in zip(orders(before), range(before), strict=False))
        terminal = terminal_of(ORDER)
        same = sum(terminal_of(number) == terminal for number in earlier)
        self._common = count(0x10000)
        self._payments = {str(n): self._block(n * BLOCK + 0x2000) for n in range(TERMINALS)}
        self._payments[str(terminal)] = self._block(PAYMENT - same, upto=0xC000)
        for n in range(terminal + 1, TERMINALS):
            self._payments[str(n)] = self._block(0xC000 + (n - terminal - 1) * BLOCK)
        self._shipments = {WAREHOUSE: count(SHIPMENT - earlier_shipments)}
        self._other_shipments = count(2_001)
        self._customers = count(1_905)
        self._flows = count(0)

    def order(self) -> str:
        return f"order-{next(self._orders)}"

    def flow(self) -> str:
        """Return the correlation id of the next order's flow."""
        spread = (FLOW + SPREAD * (next(self._flows) - self.before)) % 2**24
        return f"c-{spread:06x}"

    def payment(self, terminal: str) -> str:
        return f"payment-{next(self._payments[terminal]):04x}"

    def shipment(self, warehouse: str) -> str:
        return f"shipment-{next(self._shipments.get(warehouse, self._other_shipments))}"

    def customer(self) -> str:
        return f"customer-{next(self._customers)}"

    def _block(self, first: int, *, upto: int = 0) -> Iterator[int]:
        return chain(range(first, upto or first + BLOCK), self._common)


class TimedNumbering:
    """The numbers of a shop starting at `start` (ms) that takes at most `rate` orders a second."""

    def __init__(self, start: int, *, rate: float) -> None:
        first = (start - EPOCH) // 1000 * (int(rate) + 1) + 10_000_000
        self._orders, self._payments, self._shipments, self._customers, self._flows = (
            count(first) for _ in range(5)
        )

    def order(self) -> str:
        return f"order-{next(self._orders)}"

    def flow(self) -> str:
        return f"c-{SPREAD * next(self._flows) % 2**32:08x}"

    def payment(self, terminal: str) -> str:
        return f"payment-{next(self._payments):x}"

    def shipment(self, warehouse: str) -> str:
        return f"shipment-{next(self._shipments)}"

    def customer(self) -> str:
        return f"customer-{next(self._customers)}"


def terminal_of(number: int) -> int:
    """Return the partition of an order on its channel, which is also its payment terminal."""
    return lane(f"order-{number}", TERMINALS)
