"""`manage.py state SYSTEM STREAM`: the state of a stream at a moment."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.projections import answers, blame
from apps.projections.queries.states import state_at


class Command(BaseCommand):
    help = "Print the state of a stream at a moment, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", help="a system's slug")
        parser.add_argument("stream", help="the stream's name")
        parser.add_argument("--at", default="", help="as of this position or time; now without it")
        parser.add_argument("--projection", default="", help="how events become a state")
        parser.add_argument("--blame", action="store_true", help="which event set each field")
        parser.add_argument("--timeline", type=int, help="a sandbox's timeline")
        parser.add_argument("--json", action="store_true", help="as the JSON API answers")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"], timeline=options["timeline"])
            found = state_at(
                line, options["stream"], at=log.moment(line, options["at"]),
                projection=options["projection"], marks=options["blame"],
            )  # fmt: skip
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            answer = answers.encoded(answers.state(found, marks=options["blame"]))
            self.stdout.write(answer.decode())
            return
        if found.error:
            self.stderr.write(found.error)
        raw = answers.encoded(answers.value(found.state))
        self.stdout.write(msgspec.json.format(raw, indent=2).decode())
        if options["blame"]:
            for path, position in blame.flat(found.marks).items():
                self.stdout.write(f"#{position}\t{path or '/'}")
        where = f"snapshot #{found.cost.snapshot}, " if found.cost.snapshot else ""
        self.stderr.write(
            f"{found.stream} at #{found.position}: {where}{found.cost.folded} events folded,"
            f" {found.cost.ms} ms"
        )
