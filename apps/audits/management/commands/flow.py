"""`manage.py flow add|list|remove`: rules of flows that must end in time."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from apps.access.actor import CONSOLE
from apps.access.errors import NotVisible
from apps.audits.commands import flow as commands
from apps.audits.queries import flows
from apps.audits.stuck import BadFlow, rule
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log


class Command(BaseCommand):
    help = "Rules of flows that must end in time. `list` exits 1 where one is stuck."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="have something that began end in time")
        listing = verbs.add_parser("list", help="print the rules with what breaks them")
        remove = verbs.add_parser("remove", help="remove a rule")
        for verb in (add, listing, remove):
            verb.add_argument("system", help="a system's slug")
        add.add_argument("begins", help="the type of the event that begins it")
        add.add_argument("ends", nargs="+", help="the types one of which ends it")
        add.add_argument("--within", required=True, metavar="TIME", help="such as 30s or 10min")
        add.add_argument(
            "--by", default="correlation", help="what belongs together: correlation or stream"
        )
        listing.add_argument("--at", default="", help="as of this position or time; now without it")
        listing.add_argument("--json", action="store_true", help="as the JSON API answers")
        remove.add_argument("id", type=int, help="as `list` prints it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"])
            {"add": self.add, "list": self.show, "remove": self.remove}[options["verb"]](
                line, options
            )
        except (EventLogError, BadFlow) as error:
            raise CommandError(str(error), returncode=2) from error
        except NotVisible as error:
            raise CommandError(f"{line.slug} has no rule {options['id']}.", returncode=2) from error

    def add(self, line: Line, options: dict[str, Any]) -> None:
        wanted = rule(options["begins"], options["ends"], options["within"], options["by"])
        made = commands.add(line, wanted, by=CONSOLE)
        self.stdout.write(str(made.pk))

    def remove(self, line: Line, options: dict[str, Any]) -> None:
        commands.remove(line, options["id"], by=CONSOLE)

    def show(self, line: Line, options: dict[str, Any]) -> None:
        found = flows.jsonable(line, at=log.moment(line, options["at"]))
        if options["json"]:
            self.stdout.write(msgspec.json.encode(found).decode())
        else:
            for each in found["flows"]:
                self.stdout.write("\t".join(ascii(c)[1:-1] for c in _cells(each)))
        if any(each["stuck"] for each in found["flows"]):
            sys.exit(1)


def _cells(each: dict[str, Any]) -> list[str]:
    ends = " or ".join(each["ends"])
    some = ", ".join(one["name"] for one in each["flows"][:5])
    return [
        str(each["id"]), f"{each['stuck']} stuck", each["begins"], f"then {ends}",
        f"within {each['within']} by {each['by']}", some,
    ]  # fmt: skip
