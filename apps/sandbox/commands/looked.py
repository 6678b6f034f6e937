"""What is kept of a check that makes no entries: the shape of a comparison, with nothing in it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from apps.sandbox.models import Run
from apps.sandbox.nuls import without
from apps.sandbox.verdict import Figure

NOTHING = zlib.compress(b'{"pairs":[],"states":[]}')


def result(
    head: str, text: str, figures: Sequence[Figure], found: Sequence[Any], **more: Any
) -> dict[str, Any]:
    """Return the result of a check that found something.

    more  what else the result says, over what it says anyhow
    """
    raw = msgspec.json.encode(found)
    return {
        "same": 0, "changed": 0, "missing": 0, "new": 0, "unexpected": 0, "head": head,
        "text": text, "verdict": f"{head} {text}", "figures": msgspec.to_builtins(figures),
        "entities": 0, "calls": [], "orphans": 0, "rules": [], "self": None, "twins": [],
        "moved": 0, "deliveries": {"same": 0, "changed": 0, "missing": 0, "new": 0},
        "digest": blake2b(raw, digest_size=16).hexdigest(), **more,
    }  # fmt: skip


def keep(run: Run, result: dict[str, Any], begun: float) -> None:
    """Keep a result. `begun` is when the check began, by the monotonic clock."""
    took = round((time.monotonic() - begun) * 1000)
    Run.objects.filter(pk=run.pk, fence=run.fence).update(
        result=without(result), done=run.total, ran_ms=took, comparison=NOTHING
    )


def grouped(number: int) -> str:
    """Return a number with its digits in groups of three."""
    return f"{number:,}".replace(",", " ")
