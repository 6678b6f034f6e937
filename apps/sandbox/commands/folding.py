"""The check of reducers over a sandbox's stretch, kept as the result of a run."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from apps.projections.queries import against
from apps.projections.queries.against import Row
from apps.sandbox.errors import BadRecipe
from apps.sandbox.models import Run
from apps.sandbox.queries.forks import original
from apps.sandbox.queries.recordings import bounded
from apps.sandbox.verdict import Figure

BEAT_S = 1.0
ROWS = 500


def settle(run: Run, beat: Callable[[int], None]) -> None:
    """Fold the stretch with today's reducers and keep what came of it.

    beat    called about once a second with how many entries are done; may raise to end it
    raises  BadRecipe, BrokenCode
    """
    fork = run.fork
    bounded(fork.base, fork.until)
    begun = last = time.monotonic()

    def tell(position: int) -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_S:
            last = time.monotonic()
            beat(position - fork.base)

    line = original(fork)
    rows = against.check(line, base=fork.base, until=fork.until, beat=tell)
    if not rows and not against.known(line):
        raise BadRecipe(
            "There are no reducers: name their modules in EVDEBUG_CODE, or type one on the"
            " State page."
        )
    took = round((time.monotonic() - begun) * 1000)
    Run.objects.filter(pk=run.pk, fence=run.fence).update(
        result=result(rows), done=run.total, ran_ms=took,
        comparison=zlib.compress(b'{"pairs":[],"states":[]}'),
    )  # fmt: skip


def result(rows: list[Row]) -> dict[str, Any]:
    """Return what is kept of a check; `same` are the folds that are fine."""
    fine, changed, broken = (
        sum(getattr(r, w) for r in rows) for w in ("fine", "changed", "broken")
    )
    head = (
        "Every event folds as before."
        if not changed + broken
        else f"{_grouped(broken)} folds break."
    )
    if changed and not broken:
        head = f"{_grouped(changed)} folds come out otherwise."
    text = "{} are fine, {} changed, {} broken.".format(*map(_grouped, (fine, changed, broken)))
    figures = [
        Figure("Broken", _grouped(broken), tone="bad" if broken else "ok"),
        Figure("Changed", _grouped(changed)), Figure("Fine", _grouped(fine)),
    ]  # fmt: skip
    kept = msgspec.to_builtins(rows)
    return {
        "same": fine, "changed": changed, "missing": 0, "new": 0, "unexpected": broken,
        "head": head, "text": text, "verdict": f"{head} {text}", "folds": kept[:ROWS],
        "folds_more": len(kept[ROWS:]),
        "figures": msgspec.to_builtins(figures), "entities": 0, "calls": [], "orphans": 0,
        "deliveries": {"same": 0, "changed": 0, "missing": 0, "new": 0}, "rules": [],
        "digest": blake2b(msgspec.json.encode(kept), digest_size=16).hexdigest(), "self": None,
        "twins": [], "moved": 0,
    }  # fmt: skip


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
