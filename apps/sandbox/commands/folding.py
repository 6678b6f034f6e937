"""The check of reducers over a sandbox's stretch, kept as the result of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from apps.projections.queries import against
from apps.projections.queries.against import Row
from apps.sandbox.commands import looked
from apps.sandbox.commands.looked import grouped
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
    looked.keep(run, result(rows), begun)


def result(rows: list[Row]) -> dict[str, Any]:
    """Return what is kept of a check; `same` are the folds that are fine."""
    fine, changed, broken = (
        sum(getattr(r, w) for r in rows) for w in ("fine", "changed", "broken")
    )
    head = (
        "Every event folds as before."
        if not changed + broken
        else f"{grouped(broken)} folds break."
    )
    if changed and not broken:
        head = f"{grouped(changed)} folds come out otherwise."
    text = "{} are fine, {} changed, {} broken.".format(*map(grouped, (fine, changed, broken)))
    figures = [
        Figure("Broken", grouped(broken), tone="bad" if broken else "ok"),
        Figure("Changed", grouped(changed)), Figure("Fine", grouped(fine)),
    ]  # fmt: skip
    kept = msgspec.to_builtins(rows)
    return looked.result(
        head, text, figures, kept, same=fine, changed=changed, unexpected=broken, folds=kept[:ROWS],
        folds_more=len(kept[ROWS:]),
    )  # fmt: skip
