"""`python -m bench [CASE…]`: measure, print the tables, and keep them in bench/RESULTS.md.

`--quick` does a little of everything, to see that it still runs: it judges and keeps nothing.
Exits with 1 when a goal was missed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path

from bench import results
from bench.harness import Bench, Section, say

CASES = (
    "append", "growth", "histogram", "pages", "load", "door", "events_page", "drag", "stepping",
    "shop", "traces", "projections", "taps", "disturbance", "catch_up", "live", "alarms", "sandbox",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the cases named, all when none is; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", help=f"of {', '.join(CASES)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="a little of everything, unjudged")
    options = parser.parse_args(arguments)
    if unknown := set(options.case) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}. There are {', '.join(CASES)}.")
    cases = options.case or list(CASES)
    sections = measured(cases, quick=options.quick)
    if not options.quick:
        results.keep(sections)
    done = len(sections) == len(cases)
    return int(not done or not (options.quick or all(section.met for section in sections)))


def measured(cases: list[str], *, quick: bool) -> list[Section]:
    """Run cases one after the other and print each one's table as soon as it is there.

    A case that breaks is told of and left out: the others may take an hour.
    """
    sections = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evdebug-bench-"))
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder), stack, quick=quick)
        for case in cases:
            say(f"{case} …")
            try:
                section = importlib.import_module(f"bench.cases.{case}").run(bench)
            except Exception:
                say(f"{case} could not be measured:\n{traceback.format_exc()}")
                continue
            print(section.markdown(), flush=True)
            sections.append(section)
    return sections


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
