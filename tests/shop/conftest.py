"""One past of the shop, made once for all tests that look into it."""

from __future__ import annotations

import pytest

from examples.shop.cli import moment
from examples.shop.shop import Entry, Shop
from tests.shop.past import Past

EDGE = moment("2026-05-12T14:41:50+00:00")
MINUTE = 60_000


def entries(*, minutes: int = 45, seed: int = 7, rate: float = 40.0) -> list[Entry]:
    shop = Shop(seed=seed, start=EDGE - minutes * MINUTE, edge=EDGE, rate=rate)
    shop.run(EDGE)
    return shop.take()


@pytest.fixture(scope="session")
def past() -> Past:
    """The past as `make run` shows it: 45 minutes at the usual rate."""
    return Past(entries())
