"""Runs kept as tests: done again, and held to what they came to."""

from __future__ import annotations

from apps.eventlog.places import Line
from apps.sandbox.commands.forks import start
from apps.sandbox.errors import UnknownSandbox
from apps.sandbox.models import Run


def kept(line: Line, name: str) -> Run | None:
    """Return the run kept under a name, None for no name.

    raises  UnknownSandbox where there is none
    """
    if not name:
        return None
    found = Run.objects.filter(fork__system=line.system, kept_as=name).order_by("-pk").first()
    if found is None:
        raise UnknownSandbox(f"{line.slug!r} has no test {name[:80]!r}.")
    return found


def again(line: Line, run: Run) -> Run:
    """Queue a run with the recipe a test was made with, whatever its sandbox has become."""
    fork = run.fork
    fork.edits, fork.code, fork.options = run.edits, run.code, run.options
    return start(line, fork, check=run.check_of)


def expected(run: Run) -> str:
    """Return the digest of what a test came to when it was kept."""
    return str((run.result or {}).get("digest", ""))
