"""How long things take: log-normal times given by their median and 99th percentile."""

from __future__ import annotations

from math import log
from random import Random

P99 = 2.3263  # standard deviations of a normal distribution below which 99 % lie

# ms a service's own code takes, besides its calls: median, p99
WORK = {
    "web": (3, 11),
    "orders": (9, 38),
    "payments": (16, 40),
    "inventory": (9, 30),
    "shipping": (10, 30),
    "email": (8, 25),
}


class Timing:
    """Draws durations in ms from one seeded source."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._work = {service: self.curve(*times) for service, times in WORK.items()}

    @staticmethod
    def curve(median: float, p99: float) -> tuple[float, float]:
        """Return mean and deviation of the logarithm."""
        return log(median), log(p99 / median) / P99

    def draw(self, curve: tuple[float, float]) -> int:
        return max(1, round(self.random.lognormvariate(*curve)))

    def work(self, service: str) -> int:
        return self.draw(self._work[service])
