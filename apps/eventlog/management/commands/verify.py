"""`manage.py verify [SYSTEM]`: check the log's own invariants."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.eventlog.queries.verify import verify


class Command(BaseCommand):
    help = "Check the log: gaps, checksums, order, rollups. Exits 1 when something is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("system", nargs="?", help="a system's slug; all systems when left out")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lines = [log.line(options["system"])] if options["system"] else log.lines()
        except EventLogError as error:
            raise CommandError(str(error), returncode=2) from error
        found = 0
        for line in lines:
            for damage in verify(line, progress=self._progress):
                found += 1
                if options["json"]:
                    self.stdout.write(json.dumps({"system": line.slug, **damage._asdict()}))
                else:
                    self.stdout.write(f"{line.slug}: {damage.text}")
            if not options["json"]:
                self.stderr.write(f"{line.slug}: {line.head} positions checked.")
        if found:
            sys.exit(1)

    def _progress(self, position: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r#{position}", ending="")
