"""Pages of sixty events out of the long log, as of random moments, by every kind of filter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from apps.eventlog.places import Line
from apps.eventlog.queries import log, search
from bench.flows import STEPS

LIMIT = 60


def run(*, times: int) -> dict[str, Any]:
    """Return the seconds of `times` pages for each filter."""
    line = log.line("bench")
    rng = random.Random(7)
    return {
        name: [_page(line, rng, query) for _ in range(times)] for name, query in QUERIES.items()
    }


def _page(line: Line, rng: random.Random, query: Callable[[Line, random.Random], str]) -> float:
    text = query(line, rng)
    moment = rng.randint(1, line.head)
    started = time.perf_counter()
    page = search.search(line, text, at=moment, limit=LIMIT)
    seconds = time.perf_counter() - started
    assert page.complete, f"{text!r} as of {moment} stopped early"
    assert len(page.events) <= LIMIT
    return seconds


def _type(line: Line, rng: random.Random) -> str:
    return f"type:{rng.choice(STEPS)[0]}"


def _both(line: Line, rng: random.Random) -> str:
    type_, source, _, _ = rng.choice(STEPS)
    return f"type:{type_} source:{source}"


def _neither(line: Line, rng: random.Random) -> str:
    return "type:shop.order.placed source:/shipping"


def _stream(line: Line, rng: random.Random) -> str:
    # A stock item as often as an order: one has thousands of events, the other three.
    event = log.event(line, rng.randint(1, line.head))
    assert event is not None
    return f"stream:{event.stream}"


def _correlation(line: Line, rng: random.Random) -> str:
    event = log.event(line, rng.randint(1, line.head))
    assert event is not None
    return f"correlation:{event.correlation}"


QUERIES: dict[str, Callable[[Line, random.Random], str]] = {
    "no filter": lambda line, rng: "",
    "type": _type,
    "type and source": _both,
    "type and source that never meet": _neither,
    "stream": _stream,
    "correlation": _correlation,
}
