"""How a case measures: steps in processes of their own, interleaved rounds, medians and ratios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from tests import services

ROOT = Path(__file__).resolve().parent.parent
INFINITY = float("inf")
Step = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of a table: what we measured, beside what, and whether that is good enough."""

    what: str
    ours: str
    baseline: str
    result: str
    goal: str
    met: bool


@dataclass
class Section:
    """What one case has to say."""

    title: str
    text: str
    rows: list[Row] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether every goal was met."""
        return all(row.met for row in self.rows)

    def markdown(self) -> str:
        """Return the section as it stands in RESULTS.md."""
        head = "| | evdebug | baseline | result | goal | |\n|---|---|---|---|---|---|"
        lines = [
            f"| {r.what} | {r.ours} | {r.baseline} | {r.result} | {r.goal} | {verdict(r)} |"
            for r in self.rows
        ]
        return "\n".join([f"## {self.title}", "", self.text, "", head, *lines, ""])


def verdict(row: Row) -> str:
    """Return whether a row's goal was met; "" where it has none."""
    if not row.goal:
        return ""
    return "met" if row.met else "**missed**"


def ratio(
    what: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    *,
    unit: str,
    at_least: float = 0,
    at_most: float = INFINITY,
) -> Row:
    """Judge the ratio of two medians; `ours[i]` and `baseline[i]` are of the same round."""
    result = median(ours) / median(baseline)
    each = [a / b for a, b in zip(ours, baseline, strict=True)]
    spread = f" ({min(each):.2f}–{max(each):.2f})" if len(each) > 1 else ""
    goal = f"≥ {at_least:g}×" if at_least else f"≤ {at_most:g}×" if at_most < INFINITY else ""
    return Row(
        what, figure(median(ours), unit), figure(median(baseline), unit),
        f"{result:.2f}×{spread}", goal, at_least <= result <= at_most,
    )  # fmt: skip


def faster(
    what: str, ours: Sequence[float], baseline: Sequence[float], *, unit: str, at_least: float
) -> Row:
    """Judge how many times shorter our median is; `ours[i]`, `baseline[i]` are of one round."""
    row = ratio(what, baseline, ours, unit=unit, at_least=at_least)
    return replace(row, ours=row.baseline, baseline=row.ours)


def limit(
    what: str,
    value: float,
    *,
    unit: str,
    at_least: float = 0,
    at_most: float = INFINITY,
    baseline: str = "",
) -> Row:
    """Judge a figure by itself, where no baseline makes sense or there is a fixed bound."""
    goal = f"≥ {figure(at_least, unit)}" if at_least else f"≤ {figure(at_most, unit)}"
    shown = figure(value, unit)
    return Row(what, shown, baseline, shown, goal, at_least <= value <= at_most)


def fact(what: str, value: float, *, unit: str) -> Row:
    """Return a figure nobody judges."""
    return Row(what, figure(value, unit), "", "", "", True)


def figure(value: float, unit: str) -> str:
    """Return a value with its unit: 71 300 events/s, 3.21 ms."""
    digits = 0 if value >= 100 or value == int(value) else 2
    return f"{value:,.{digits}f} {unit}".replace(",", "\N{NARROW NO-BREAK SPACE}").strip()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def interleaved(rounds: int, *steps: Step) -> list[list[float]]:
    """Call every step once a round, and return each one's results, round by round.

    Interleaved, so that a machine that slows down for a while slows all of them down.
    """
    results: list[list[float]] = [[] for _ in steps]
    for number in range(rounds):
        for result, step in zip(results, steps, strict=True):
            result.append(step())
        say(f"  round {number + 1} of {rounds}: {[f'{r[-1]:,.4g}' for r in results]}")
    return results


def say(words: str) -> None:
    """Tell whoever waits how far we are."""
    print(words, file=sys.stderr, flush=True)


class StepFailed(Exception):
    """A step did not measure anything; its own words are in the text."""


@dataclass(frozen=True)
class LongLog:
    """A SQLite log of five million events, in the system `bench`."""

    environment: dict[str, str]
    count: int
    chunks: list[float]  # seconds for each tenth
    bytes: float  # per event
    peak: int  # of the writer, in bytes


@dataclass
class Bench:
    """What the cases of one run share: the scale, a folder, a PostgreSQL server, the long log."""

    folder: Path
    stack: ExitStack
    quick: bool = False

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    def scaled(self, full: int, quick: int) -> int:
        """Return how many of something to do."""
        return quick if self.quick else full

    @cached_property
    def postgresql(self) -> services.PostgreSQL | None:
        """A server whose commits are durable; None where this machine has none."""
        try:
            return self.stack.enter_context(services.postgresql(durable=True))
        except services.Missing as missing:
            say(f"  without PostgreSQL: {missing}")
            return None

    @cached_property
    def long_log(self) -> LongLog:
        """The long log, made when the first case asks for it; about two minutes."""
        count = self.scaled(5_000_000, 20_000)
        data = self.folder / "long"
        say(f"  making a log of {count:,} events …")
        environment = {"EVDEBUG_DATA": str(data), "DATABASE_URL": ""}
        answer = self.step(
            "append", environment, side="log", count=count, batch=2000, chunk=count // 10
        )
        return LongLog(environment, count, answer["chunks"], answer["bytes"], answer["peak"])

    @contextmanager
    def database(self, vendor: str) -> Iterator[dict[str, str]]:
        """Give the environment of an empty database of its own, and drop it afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as data:
            if vendor == "sqlite":
                yield {"EVDEBUG_DATA": data, "DATABASE_URL": ""}
                return
            assert self.postgresql is not None
            name = Path(data).name.lower()
            yield {"EVDEBUG_DATA": data, "DATABASE_URL": self.postgresql.make_database(name)}
            services.drop_database(self.postgresql.url, name)

    def vendors(self) -> list[str]:
        """Return the databases this machine can measure."""
        return ["sqlite", "postgresql"] if self.postgresql else ["sqlite"]

    def step(self, name: str, environment: dict[str, str], **options: Any) -> dict[str, Any]:
        """Run `bench.steps.NAME` in a process of its own and return what it measured.

        Its answer also has `peak`: the most memory it ever had resident, in bytes.

        raises  StepFailed
        """
        done = subprocess.run(
            [sys.executable, "-m", "bench.step", name, json.dumps(options)],
            cwd=ROOT, env=clean_environment() | environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StepFailed(f"{name} {options} exited {done.returncode}:\n{done.stderr}")
        sys.stderr.write(done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


def clean_environment() -> dict[str, str]:
    """Return the environment for a step: nothing of the shell's that would change evdebug."""
    unwanted = {"DATABASE_URL", "REDIS_URL"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith("EVDEBUG_")
    }
    return kept | {"DJANGO_SETTINGS_MODULE": "bench.settings"}
