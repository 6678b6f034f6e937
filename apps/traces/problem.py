"""One thing that is wrong with a trace, and the kinds there are of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from apps.traces.deliveries import Delivery, service

# Wrong data first, then what is lost, missing, repaired and slow.
CODES = (
    "handled_twice", "out_of_order", "dead_lettered", "effect_without_cause", "failed",
    "missing_step", "failed_then_retried", "slow",
)  # fmt: skip
FLAGS = ("handled_twice", "out_of_order", "dead_lettered", "effect_without_cause",
         "failed_then_retried", "failed")  # fmt: skip

Delivered = Mapping[int, Sequence[Delivery]]
Data = Callable[[int], Any]  # position -> the event's value, None where there is none


class Problem(NamedTuple):
    """One thing that is wrong. `position` is the event to look at."""

    code: str
    position: int
    subscriber: str
    title: str
    detail: str
    focus: int = 0  # the row that shows it, where it is another event

    @property
    def text(self) -> str:
        """Return it as one paragraph."""
        return f"{self.title}. {self.detail}".strip()


def by_subscriber(deliveries: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    """Return deliveries by the service they went to."""
    found: dict[str, list[Delivery]] = {}
    for d in deliveries:
        found.setdefault(service(d.subscriber), []).append(d)
    return found
