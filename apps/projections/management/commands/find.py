"""`manage.py find SYSTEM STREAM EXPR`: the first event after which an expression holds."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError, QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import answers
from apps.projections.queries.finding import find


class Command(BaseCommand):
    help = "Print the position of the first event after which an expression holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", help="a system's slug")
        parser.add_argument("stream", help="a stream's name; stock-* for all that begin so")
        parser.add_argument("expr", help="such as: state.available < 0")
        parser.add_argument("--from", dest="start", default="", help="after this position or time")
        parser.add_argument("--to", default="", help="up to this position or time; now without it")
        parser.add_argument("--bisect", action="store_true", help="once true it stays true")
        parser.add_argument("--projection", default="", help="how events become a state")
        parser.add_argument("--timeline", type=int, help="a sandbox's timeline")
        parser.add_argument("--json", action="store_true", help="as the JSON API answers")

    def _teller(self, line: Line) -> Callable[[int, int], bool] | None:
        """Say how far the search is where somebody watches; it is stopped by ctrl-C."""
        if not self.stderr.isatty():
            return lambda checked, position: True
        begun = time.monotonic()

        def tell(checked: int, position: int) -> bool:
            spent = time.monotonic() - begun
            left = spent * (line.head - position) / max(1, position)
            words = (
                f"#{position} of #{line.head}, {checked / spent:,.0f} states/s, {left:.0f} s left"
            )
            self.stderr.write(f"\r{words:<70}", ending="")
            return True

        return tell

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"], timeline=options["timeline"])
            found = find(
                line, options["stream"], options["expr"],
                after=log.moment(line, options["start"]) if options["start"] else 0,
                upto=log.moment(line, options["to"]), bisect=options["bisect"],
                projection=options["projection"], tell=self._teller(line),
            )  # fmt: skip
        except QueryError as error:
            told = f"{error.message} (column {error.column + 1})"
            raise CommandError(told, returncode=2) from error
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            self.stdout.write(answers.encoded(answers.found(found)).decode())
        else:
            if found.position is not None:
                self.stdout.write(str(found.position))
            words = "" if found.complete else f", stopped early at #{found.scanned_to}"
            self.stderr.write(f"{found.checked} states looked at in {found.ms} ms{words}")
