"""Publish and consume on a bus, with or without a tap beside it on a processor of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from bench import cloudevents
from bench.flows import events
from bench.harness import ROOT
from bench.steps import taps

READY = "ready"


def run(
    *, bus: str, url: str, count: int, tapped: bool, more: dict[str, str], follow: bool = False
) -> dict[str, Any]:
    """Return how many events a second were published, and were then consumed.

    tapped  a tap reads along, in a process of its own
    more    settings of the tap beside the usual
    follow  be that tap: say when it listens, and read as many
    """
    if follow:
        _follow(bus, url, count, more)
        return {}
    bodies = [cloudevents.structured(e) for e in islice(events(), count)]
    taps.PREPARE[bus](url)
    consume = taps.BARE[bus](url, count)
    options = {"bus": bus, "url": url, "count": count, "more": more, "tapped": False}
    with _tap(options) if tapped else _nothing():
        published = taps.timed(lambda: taps.PUBLISH[bus](url, bodies), count)["rate"]
        return {"published": published, "consumed": taps.timed(consume, count)["rate"]}


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _tap(options: dict[str, Any]) -> Iterator[None]:
    """Have a tap listen until the end of the block, and then until it has everything."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.step", "disturbing", json.dumps(options | {"follow": True})],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == READY
        yield
        process.stdout.read()
        assert process.wait(300) == 0
    finally:
        process.kill()


def _follow(bus: str, url: str, count: int, more: dict[str, str]) -> None:
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    work: Callable[[], None] = taps.tap(bus, url, count, prepared=True, more=more)
    print(READY, flush=True)
    work()
