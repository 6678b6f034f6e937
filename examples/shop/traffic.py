"""The customers: when they come, who they are and what is in their carts."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from math import pi, sin
from random import Random
from typing import Any

from examples.shop.catalogue import PLANTED, Product, customer

KNOWN = 1_904  # customers with an account when the shop opens
SWELL = 0.12  # how far the rate swings, over WAVE ms
WAVE = 1_800_000
METHODS = ("card", "card", "card", "card", "card", "card", "card", "invoice", "invoice", "wallet")
QUANTITIES = (1, 1, 1, 1, 1, 1, 2, 2, 3)
LINES = (1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)
TWICE = 0.011  # share of carts with one product on two lines
RESERVED = (118, 301, 361, 421, 481, 541, 601, 661)  # customers who order only as the story has it
QUIET = 400  # a customer comes back after this many others at the earliest


def arrivals(random: Random, start: int, rate: float) -> Iterator[int]:
    """Yield the times in ms, without end, at which somebody orders, `rate` a second on average."""
    now = float(start)
    while True:
        swing = 1 + SWELL * sin(2 * pi * (now - start) / WAVE)
        now += random.expovariate(rate * swing) * 1000
        yield round(now)


class Customers:
    """Draws carts. The planted product is in none of them: its buyers are in the story."""

    def __init__(self, random: Random, products: list[Product]) -> None:
        self.random = random
        self.products = [product for product in products if product.sku != PLANTED]
        self._weights = list(accumulate(1 / (n + 4) ** 0.6 for n in range(len(self.products))))
        self._recent: deque[int] = deque(maxlen=QUIET)
        self._known = KNOWN

    def cart(self) -> dict[str, Any]:
        """Return the cart of a customer who has not been here just now."""
        skus = [self._product() for _ in range(self.random.choice(LINES))]
        skus = list(dict.fromkeys(skus))  # the same product once, unless asked for twice
        if self.random.random() < TWICE:
            skus.append(skus[0])
        return {
            "customer": customer(self._somebody()),
            "lines": [line(product, self.random.choice(QUANTITIES)) for product in skus],
            "method": self.random.choice(METHODS),
            "token": f"tok_{self.random.getrandbits(32):08x}",
        }

    def anybody(self) -> dict[str, Any]:
        return customer(self.random.randrange(1, self._known + 1))

    def _somebody(self) -> int:
        while True:
            number = self.random.randrange(1, self._known + 1)
            if number not in self._recent and number not in RESERVED:
                self._recent.append(number)
                return number

    def _product(self) -> Product:
        return self.products[bisect(self._weights, self.random.random() * self._weights[-1])]


def line(product: Product, qty: int) -> dict[str, Any]:
    """Return one line of a cart."""
    return {"sku": product.sku, "name": product.name, "qty": qty, "price": product.price}
