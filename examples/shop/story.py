"""What is planted, and when: the inputs and faults from which the stories of README.md arise.

Nothing here writes an event. A plan says who orders what at which moment, which commit the
coordinator will not answer, when a carrier stalls; the services and the bus do the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any

from examples.shop.catalogue import PLANTED, Product, customer
from examples.shop.memory import LostCommit
from examples.shop.numbering import ORDER, WAREHOUSE
from examples.shop.outside import Window, every
from examples.shop.traffic import RESERVED, line

MINUTE = 60_000
SHORTEST = 20 * MINUTE  # a past shorter than this has no room for the story

# ms before the end of the past
STORY = 9 * MINUTE + 45_888
DEPLOY = 17 * MINUTE + 32_000
ANOMALY = MINUTE + 38_000
ANOMALY_GOES_ON = 6 * MINUTE  # after the end of the past

# Earlier buyers of the planted product, as shares of the past before the story: five whose goods
# leave the house and two whose order also has another product on two lines, so that inventory
# releases nothing.
BUYERS = (0.96, 0.88, 0.79, 0.66, 0.55, 0.45, 0.24)
UNRELEASED = (0.45, 0.24)
BUYER, *EARLIER = RESERVED
NEVER = Window(0, 0)
GOOD_CARD = "tok_5eed0042"


@dataclass(slots=True)
class Planned:
    """An order somebody places at a planned moment."""

    at: int
    cart: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deploy:
    at: int
    service: str
    version: str
    previous: str
    commit: str


@dataclass(slots=True)
class Plan:
    """The planted inputs of one past. Without a story all of it is empty but the small faults."""

    story: int = 0  # when the planted order is placed; 0: never
    planned: list[Planned] = field(default_factory=list)
    goods: list[tuple[int, int]] = field(default_factory=list)  # when, how many of PLANTED
    deploys: list[Deploy] = field(default_factory=list)
    lost_commits: list[LostCommit] = field(default_factory=list)
    stalls: list[tuple[str, Window]] = field(default_factory=list)
    slow_settlement: list[Window] = field(default_factory=list)
    quiet: Window = NEVER  # when random failures strike nobody


def plan(products: list[Product], start: int, edge: int) -> Plan:
    """Return the plan of a past from `start` to `edge`, in ms since 1970."""
    if edge - start < SHORTEST:
        return Plan()
    story = edge - STORY
    by_sku = {product.sku: product for product in products}
    buyers = [Planned(story, cart(BUYER, [by_sku[PLANTED]]))]
    for n, before in enumerate(BUYERS):
        others = [by_sku["SKU12"], by_sku["SKU12"]] if before in UNRELEASED else []
        at = story - round(before * (story - start))
        buyers.append(Planned(at, cart(EARLIER[n], [by_sku[PLANTED], *others])))
    return Plan(
        story,
        sorted(buyers, key=lambda buyer: buyer.at),
        [(start + 5_000, len(BUYERS) + 1)],
        [
            Deploy(edge - DEPLOY, "payments", "v2.14", "v2.13", "a41f3c2"),
            *(
                Deploy(start + (edge - start) * part // 100, service, new, old, commit)
                for part, service, new, old, commit in (
                    (8, "web", "v5.1.0", "v5.0.7", "0c9d71e"),
                    (31, "email", "v1.9.2", "v1.9.1", "77b20aa"),
                    (52, "shipping", "v3.4.0", "v3.3.8", "e15d904"),
                )
            ),
        ],
        [LostCommit("payments", story, f"order-{ORDER}")],
        [(WAREHOUSE, Window(story + 500, story + 4_900))],
        [Window(edge - ANOMALY, edge + ANOMALY_GOES_ON)],
        Window(story - 10_000, story + 10_000),
    )


def cart(number: int, products: list[Product]) -> dict[str, Any]:
    """Return a cart with one piece of each product, paid with a card that works."""
    return {
        "customer": customer(number),
        "lines": [line(product, 1) for product in products],
        "method": "card",
        "token": GOOD_CARD,
    }


def commits_lost_now_and_then(random: Random, start: int) -> Iterator[LostCommit]:
    """Yield the small redeliveries: a commit of one of three services lost every 7 minutes."""
    groups = cycle(("orders", "email", "inventory"))
    for group, window in zip(groups, every(random, start, 7 * MINUTE, 1), strict=False):
        yield LostCommit(group, window.start)


def stalls_now_and_then(random: Random, start: int) -> Iterator[tuple[str, Window]]:
    """Yield the small stalls: the carrier at CGN1 or HAM3 answers late for 2 s every 9 minutes."""
    for window in every(random, start, 9 * MINUTE, 2_000):
        yield random.choice(("CGN1", "HAM3")), window


def slow_settlement_now_and_then(random: Random, start: int) -> Iterator[Window]:
    """Yield the stretches, 100 s every 40 minutes, in which the provider settles late."""
    yield from every(random, start, 40 * MINUTE, 100_000)
