"""`manage.py diff SYSTEM STREAM A B`: what changed in a stream's state between two moments."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.projections import answers
from apps.projections.diff import jsonable
from apps.projections.exact import MISSING
from apps.projections.queries import states

SIGNS = {"add": "+", "remove": "-", "replace": "~"}


class Command(BaseCommand):
    help = "Print what changed in a stream's state between two moments. Exits 1 for differences."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", help="a system's slug")
        parser.add_argument("stream", help="the stream's name")
        parser.add_argument("a", help="a position or time")
        parser.add_argument("b", help="a position or time")
        parser.add_argument("--projection", default="", help="how events become a state")
        parser.add_argument("--timeline", type=int, help="a sandbox's timeline")
        parser.add_argument("--json", action="store_true", help="as the JSON API answers")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"], timeline=options["timeline"])
            found = states.diff(
                line, options["stream"], before=log.moment(line, options["a"]),
                after=log.moment(line, options["b"]), projection=options["projection"],
            )  # fmt: skip
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            shape = {"changes": [jsonable(change) for change in found]}
            self.stdout.write(answers.encoded(shape).decode())
        else:
            for change in found:
                values = [v for v in (change.before, change.after) if v is not MISSING]
                texts = " -> ".join(answers.said(v, 200) for v in values)
                moved = f" (moved: {change.moved})" if change.moved is not None else ""
                self.stdout.write(f"{SIGNS[change.op]} {change.path or '/'}  {texts}{moved}")
        if found:
            sys.exit(1)
