"""Finding sandboxes and runs of a system."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Max

from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.sandbox.errors import UnknownSandbox
from apps.sandbox.models import Fork, Run

__all__ = ["Fork", "Run", "fork", "fork_of", "forks", "last_runs", "original", "run", "runs"]

LISTED = 200


def forks(line: Line) -> list[Fork]:
    """Return a system's sandboxes, the newest first."""
    found = Fork.objects.filter(system=line.system, discarded=False)
    return list(found.order_by("-pk")[:LISTED])


def fork(line: Line, number: int) -> Fork:
    """Return a sandbox. raises  UnknownSandbox, also for another system's"""
    found = Fork.objects.filter(system=line.system, pk=number, discarded=False).first()
    if found is None:
        raise UnknownSandbox(f"{line.slug!r} has no sandbox {number}.")
    return found


def fork_of(line: Line) -> Fork | None:
    """Return the sandbox a timeline belongs to, None for the system's own."""
    if line.parent is None:
        return None
    run = Run.objects.filter(timeline=line.timeline).select_related("fork").first()
    if run is not None:
        return run.fork
    return Fork.objects.filter(system=line.system, timeline=line.timeline).first()


def runs(fork: Fork) -> list[Run]:
    """Return a sandbox's runs, the newest first, without their comparisons."""
    return list(fork.runs.order_by("-number").defer("comparison")[:LISTED])


def last_runs(forks: Iterable[Fork]) -> dict[int, tuple[Run, int]]:
    """Return the last run of each sandbox that has any, by its key, and how many there are."""
    made = Run.objects.filter(fork__in=list(forks)).values_list("fork")
    counted = {last: many for _, last, many in made.annotate(Max("pk"), Count("pk"))}
    last = Run.objects.defer("comparison").in_bulk(list(counted))
    return {run.fork_id: (run, counted[key]) for key, run in last.items()}


def run(fork: Fork, number: int) -> Run:
    """Return a run by its number. raises  UnknownSandbox"""
    found = fork.runs.filter(number=number).first()
    if found is None:
        raise UnknownSandbox(f"This sandbox has no run {number}.")
    return found


def original(fork: Fork) -> Line:
    """Return the line a sandbox is a copy of."""
    made = log.line_of(fork.timeline)
    return log.line(made.slug)
