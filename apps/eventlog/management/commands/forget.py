"""`manage.py forget SYSTEM --before P [--keep-state] | --stream S`: retention and erasure."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.commands.forget import forget
from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log


class Command(BaseCommand):
    help = "Erase the data of old events or of one stream; positions stay, as tombstones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", help="a system's slug")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--before", help="erase what lies before this position or time")
        what.add_argument("--stream", help="erase this stream, and its name")
        parser.add_argument(
            "--keep-state", action="store_true",
            help="with --before: keep the state each entity had there, so that later ones stay",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"])
            if options["keep_state"] and options["before"] is None:
                raise CommandError("--keep-state goes with --before.", returncode=2)
            if options["before"] is not None:
                before = _before(line, options["before"])
                count = forget(line, before=before, keep_state=options["keep_state"])
            else:
                count = forget(line, stream=options["stream"])
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(
            json.dumps({"forgotten": count}) if options["json"] else f"{count} events forgotten."
        )


def _before(line: Any, text: str) -> int:
    """Return the position from which on events are kept: a position itself, or the first after
    a time."""
    position = log.moment(line, text)
    return position if text.strip().lstrip("#").isdigit() else position + 1
