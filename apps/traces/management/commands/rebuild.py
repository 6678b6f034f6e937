"""`manage.py rebuild READER [SYSTEM]`: forget what a reader derived, and read the log anew."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.traces.commands.follow import rebuild

READERS = {"traces": rebuild}


class Command(BaseCommand):
    help = "Forget what a reader derived from the log, and derive it anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reader", choices=sorted(READERS))
        parser.add_argument("system", nargs="?", help="a system's slug; all systems when left out")
        parser.add_argument("--json", action="store_true", help="one JSON object a system")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lines = [log.line(options["system"])] if options["system"] else log.lines()
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        for line in lines:
            begun = time.monotonic()
            position = READERS[options["reader"]](line)
            took = time.monotonic() - begun
            if options["json"]:
                told = {"system": line.slug, "position": position, "seconds": round(took, 3)}
                self.stdout.write(json.dumps(told))
            else:
                self.stderr.write(f"{line.slug}: {position} positions read in {took:.1f} s.")
