"""The runs of a sandbox and the sandboxes of a system, each in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from apps.eventlog.places import Line
from apps.pages.queries.edited import edits_shown
from apps.pages.words import plural, visible
from apps.sandbox import edits as recipes
from apps.sandbox.queries import forks as found
from apps.sandbox.queries.forks import Fork, Run

CHECKS = {
    "twice": "every delivery twice", "swapped": "neighbours swapped",
    "failing": "each call failing once", "folds": "today's code against history",
    "dry": "dry run", "shrink": "shrink",
}  # fmt: skip
SAID = {
    "queued": "Waiting for a worker", "running": "Replaying", "paused": "Paused",
    "stopped": "Stopped", "cancelled": "Cancelled", "failed": "Failed", "finished": "Finished",
}  # fmt: skip


class RunShown(NamedTuple):
    """One run: what was tried, and what it came to; `test` is its name as one."""

    number: int
    timeline: int
    words: str
    ended: str
    test: str


class ForkShown(NamedTuple):
    """One sandbox of the list; `on` is how many of its edits are."""

    fork: Fork
    last: Run | None
    runs: int
    on: int


def forks_shown(line: Line) -> list[ForkShown]:
    """Return the sandboxes of a system with their last runs."""
    forks = found.forks(line)
    known = found.last_runs(forks)
    rows = []
    for fork in forks:
        last, many = known.get(fork.pk, (None, 0))
        rows.append(ForkShown(fork, last, many, len(_on(fork.edits))))
    return rows


def runs_shown(line: Line, runs: Sequence[Run]) -> list[RunShown]:
    """Return the runs of a sandbox in words; `line` is what it is a copy of."""
    on = {run.pk: _on(run.edits) for run in runs}
    firsts = [edits[0] for edits in on.values() if edits]
    words = iter(edits_shown(line, recipes.read(firsts)))
    first = {pk: next(words) for pk, edits in on.items() if edits}
    return [
        RunShown(r.number, r.timeline, _tried(r, first.get(r.pk), len(on[r.pk])), ended(r),
                 visible(r.kept_as))
        for r in runs
    ]  # fmt: skip


def _on(edits: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [edit for edit in edits if edit.get("on", True)]


def _tried(run: Run, first: Any, many: int) -> str:
    """Return what a run was to find out."""
    if run.check_of:
        return CHECKS.get(run.check_of, run.check_of)
    parts = [f"{first.verb.lower()} {first.words}"] if first else []
    if many > 1:
        parts.append(plural(many - 1, "more edit"))
    if run.code:
        parts.append(f"other code of {visible(', '.join(sorted(run.code)))}")
    return ", ".join(parts).replace("of *", "of all") or "nothing changed"


def ended(run: Run) -> str:
    """Return in a few words what a run came to."""
    result = run.result or {}
    if not result:
        return SAID[run.status].lower()
    for figure in result.get("figures", []):
        if figure.get("after"):
            return f"{figure['before']} → {figure['after']}"
    return visible(str(result.get("head", "")))
