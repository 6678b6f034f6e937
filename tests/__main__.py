"""`python -m tests`: every test that can run on this machine, and why the others cannot.

Three runs of pytest, each with its own closing line: on SQLite, on PostgreSQL (the tests of what is
written in SQL), and in Chromium. `--slow` runs the crash, soak and load suites instead, and on
PostgreSQL also the other tests that use the database. Further arguments are pytest's. Exits with 1
when a test failed, or when one was skipped although `EVDEBUG_REQUIRE_SERVICES=1`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests import services

OK, NO_TESTS = 0, 5
SQL = [f"tests/{name}" for name in ("eventlog", "traces", "projections")]
CLOSING = re.compile(r"\d+ (passed|failed|skipped|errors?|deselected|warnings?|x?passed|xfailed)")
COUNT = re.compile(r"(\d+) ([a-z]+)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PLURAL = {"error": "errors", "warning": "warnings"}
ORDER = ("failed", "errors", "passed", "skipped", "xfailed", "xpassed", "warnings")


@dataclass
class Run:
    """One run of pytest: what it is called, what it is given, and what came of it."""

    name: str
    arguments: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    missing: str = ""  # why it cannot run here; "" when it can
    code: int = OK
    closing: str = ""

    def go(self, more: list[str]) -> None:
        """Run pytest, showing its output as it comes, and keep its verdict and closing line."""
        print(f"\n== {self.name} ==", flush=True)
        command = [sys.executable, "-m", "pytest", "-rs", *self.arguments, *more]
        if sys.stdout.isatty():
            command.append("--color=yes")
        environment = os.environ | self.variables
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                plain = COLOUR.sub("", line).strip(" =\n")
                if CLOSING.match(plain) or plain.startswith("no tests ran"):
                    self.closing = plain
        self.code = process.returncode

    @property
    def counts(self) -> Counter[str]:
        """How many tests passed, failed, …, as the closing line says."""
        found = Counter[str]()
        for number, what in COUNT.findall(self.closing.partition(" in ")[0]):
            found[PLURAL.get(what, what)] += int(number)
        return found

    @property
    def failed(self) -> bool:
        if self.missing:
            return services.required()
        return self.code not in {OK, NO_TESTS} or (
            services.required() and bool(self.counts["skipped"])
        )

    def summary(self) -> str:
        """Return one line: the closing line, or why there is none."""
        if self.missing:
            return f"{self.name}: SKIPPED: {self.missing}"
        return f"{self.name}: {self.closing or f'pytest ended with {self.code}'}"


def main(arguments: list[str]) -> int:
    """Run all runs that can be, print their closing lines and the sum; return the exit code."""
    started = time.monotonic()
    slow = "--slow" in arguments
    more = [a for a in arguments if a != "--slow"]
    with ExitStack() as stack:
        done = []
        for run in runs(stack, slow=slow, narrow=any(a[0] != "-" for a in more)):
            if not run.missing:
                run.go(more)
            done.append(run)
    print("\n== all ==")
    for run in done:
        print(run.summary())
    if services.required() and any(run.counts["skipped"] or run.missing for run in done):
        print("EVDEBUG_REQUIRE_SERVICES=1, and yet something was skipped: that is a failure.")
    print(total(done, time.monotonic() - started), flush=True)
    return int(any(run.failed for run in done))


def runs(stack: ExitStack, *, slow: bool, narrow: bool) -> Iterator[Run]:
    """Yield the runs; a service is started before the first run that needs it.

    `narrow`: the caller names the tests.
    """
    redis, no_redis = entered(stack, services.redis)
    variables = {} if no_redis else {"TEST_REDIS_URL": redis}
    workers = ["-n", "2", "--dist", "loadfile"]
    if slow:
        yield Run("SQLite, slow", ["-m", "slow", *workers], variables)
    else:
        yield Run("SQLite", ["-m", "not slow and not browser", *workers], variables)
    server, missing = entered(stack, services.postgresql)
    given = variables | on(server, missing)
    quick = ["--database-only", "-m", "not slow and not browser", *workers]
    if slow:
        others = [f"--ignore={folder}" for folder in SQL]
        yield Run("PostgreSQL, the others", [*quick, *others], given, missing)
        server, missing = entered(stack, lambda: services.postgresql(durable=True))
        given = variables | on(server, missing)
        marks = ["--database-only", "-m", "slow and not browser", *workers]
        yield Run("PostgreSQL, slow", marks, given, missing)
    else:
        yield Run("PostgreSQL", [*quick, *([] if narrow else SQL)], given, missing)
        _, missing = entered(stack, lambda: nullcontext(services.chromium()))
        yield Run("Chromium", ["-m", "browser and not slow", *workers], variables, missing)


def on(server: Any, missing: str) -> dict[str, str]:
    """Return the variables that put the tests on a PostgreSQL server."""
    return {} if missing else {"DATABASE_URL": server.url, "TEST_POSTGRESQL_URL": server.url}


def entered(stack: ExitStack, service: Callable[[], Any]) -> tuple[Any, str]:
    """Enter a service's context; return (what it gives, "") or (None, why it is missing)."""
    try:
        return stack.enter_context(service()), ""
    except services.Missing as missing:
        return None, str(missing)


def total(done: list[Run], seconds: float) -> str:
    """Return the sum of the closing lines, in the words of pytest."""
    counts = sum((run.counts for run in done), Counter[str]())
    words = [f"{counts[what]} {what}" for what in ORDER if counts[what]]
    return f"{', '.join(words) or 'no tests ran'} in {seconds:.2f}s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
