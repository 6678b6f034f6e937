"""`manage.py trace SYSTEM POSITION|ID|CORRELATION`: who was told, and what came of it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.traces.outline_text import lines_of
from apps.traces.queries.traces import find, fresh, jsonable_trace


class Command(BaseCommand):
    help = "Print the causal tree of a trace, with deliveries. Exits 1 when it has problems."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", help="a system's slug")
        parser.add_argument("which", help="a position, an event's id, or a correlation id")
        parser.add_argument("--at", default="", help="as of this position or time; now without it")
        parser.add_argument("--timeline", type=int, help="a sandbox's timeline")
        parser.add_argument("--json", action="store_true", help="as the JSON API answers")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"], timeline=options["timeline"])
            upto = log.moment(line, options["at"])
            fresh(line)
            view = find(line, options["which"], upto=upto)
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        if view is None or view.tree.root is None:
            raise CommandError(
                f"{options['which']!r} is no position, event id or correlation id in"
                f" {line.slug} as of #{upto}.",
                returncode=2,
            )
        if options["json"]:
            self.stdout.write(msgspec.json.encode(jsonable_trace(view)).decode())
        else:
            for text in lines_of(view.tree, view.delivered, view.steps, view.problems):
                self.stdout.write(text)
            self.stderr.write(f"{view.shown} events, {len(view.problems)} problems.")
        if view.problems:
            sys.exit(1)
