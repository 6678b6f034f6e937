"""`manage.py system create SLUG` and `manage.py system list`."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.access.actor import CONSOLE
from apps.access.commands.systems import create_system
from apps.access.errors import AccessError
from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log


class Command(BaseCommand):
    help = "Make a system to study, or list those there are."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a system; prints its name in addresses")
        create.add_argument("slug", help="lower-case letters, digits and '-', 63 at most")
        create.add_argument("--name", default="", help="what people call it; the slug when absent")
        listing = verbs.add_parser("list", help="list the systems: slug, head, name")
        for verb in (create, listing):
            verb.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "create":
            self.make(options)
        else:
            self.show(options)

    def make(self, options: dict[str, Any]) -> None:
        try:
            line = create_system(options["slug"], name=options["name"], by=CONSOLE)
        except (AccessError, EventLogError) as error:
            raise CommandError(str(error), returncode=2) from error
        row = {"id": line.system, "slug": line.slug, "name": line.name}
        self.stdout.write(json.dumps(row) if options["json"] else line.slug)

    def show(self, options: dict[str, Any]) -> None:
        lines = log.lines()
        if options["json"]:
            rows = [
                {"id": line.system, "slug": line.slug, "name": line.name, "head": line.head}
                for line in lines
            ]
            self.stdout.write(json.dumps(rows))
            return
        for line in lines:
            self.stdout.write(f"{line.slug}\t{line.head}\t{line.name}")
