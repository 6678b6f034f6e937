"""Who orders when, and under which numbers: settled before the first minute passes.

Customers come whatever the shop does, so how many orders precede the planted one is known at the
start. That is what lets it be order-1042 at any rate, seed and length of the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from examples.shop.numbering import ORDER, Numbering, TimedNumbering, orders
from examples.shop.story import Plan

Arrival = tuple[int, dict[str, Any] | None]  # when, and the cart where it is planned


@dataclass(slots=True)
class Cast:
    """calm: the planted orders, spared random failures so that their story is always the same."""

    arrivals: Iterator[Arrival]
    numbers: Numbering | TimedNumbering
    calm: frozenset[str] = frozenset()


def cast(plan: Plan, times: Iterator[int], *, start: int, rate: float) -> Cast:
    """Return the arrivals of `plan` among those at `times`, which come without end, in order."""
    if not plan.story:
        return Cast(((time, None) for time in times), TimedNumbering(start, rate=rate))
    past: list[Arrival] = [(each.at, each.cart) for each in plan.planned]
    for time in times:
        past.append((time, None))
        if time > plan.story:
            break
    past.sort(key=lambda arrival: arrival[0])
    before = next(n for n, (time, cart) in enumerate(past) if cart and time == plan.story)
    numbered = list(zip(orders(before), past, strict=False))
    calm = frozenset(f"order-{number}" for number, (_, cart) in numbered if cart)
    assert f"order-{ORDER}" in calm
    numbers = Numbering(before, earlier_shipments=len(plan.planned) - 1)
    return Cast(chain(past, ((time, None) for time in times)), numbers, calm)
