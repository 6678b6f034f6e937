"""`manage.py tap add|list|check|start|stop|rewind|arm|remove`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.access.actor import CONSOLE
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest import buses, queries
from apps.ingest.commands import taps as commands
from apps.ingest.connector import BadSettings
from apps.ingest.models import Tap
from apps.ingest.visible import visible


class Command(BaseCommand):
    help = "Add, list, check and steer taps: listening points on buses."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="make a tap; `ingest` and `up` run it")
        add.add_argument("system")
        add.add_argument("name")
        add.add_argument("--bus", required=True, choices=sorted(buses.CONNECTORS))
        add.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
        add.add_argument("--stopped", action="store_true", help="do not run it yet")
        listing = verbs.add_parser("list", help="list taps with what came of them")
        listing.add_argument("system", nargs="?")
        for verb, words in (
            ("check", "connect, look and leave; changes nothing"),
            ("start", "have it run"),
            ("stop", "have it rest where it is"),
            ("rewind", "read again from a moment"),
            ("arm", "begin its costly recording for a time"),
            ("remove", "remove it; its events stay"),
        ):
            one = verbs.add_parser(verb, help=words)
            one.add_argument("name")
            one.add_argument("--system", help="where several systems have a tap of that name")
            if verb == "rewind":
                one.add_argument("--to", required=True, help="beginning, now or a time")
            if verb == "arm":
                one.add_argument("--minutes", required=True, help="0 to end it")
        for parser_of in verbs.choices.values():
            parser_of.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        try:
            if verb == "add":
                self.make(options)
            elif verb == "list":
                self.show(options)
            elif verb == "check":
                self.check_tap(options)
            else:
                self.steer(verb, options)
        except (EventLogError, BadSettings) as error:
            raise CommandError(visible(str(error), longest=2000), returncode=2) from error

    def make(self, options: dict[str, Any]) -> None:
        line = log.line(options["system"])
        settings = _pairs(options["pairs"])
        tap = commands.add(
            line, options["name"], options["bus"], settings, by=CONSOLE,
            wanted=not options["stopped"],
        )  # fmt: skip
        promise = commands.connector(tap, settings).guarantee()
        if options["json"]:
            self.stdout.write(json.dumps(queries.jsonable(tap, line.slug)))
        self.stderr.write(f"Tap {tap.name} of {line.slug}. {promise.words}", str)

    def show(self, options: dict[str, Any]) -> None:
        lines = [log.line(options["system"])] if options["system"] else log.lines()
        rows = [queries.jsonable(tap, line.slug) for line in lines for tap in queries.taps(line)]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            counts = (
                f"{row['received']} = {row['stored']} stored + {row['duplicates']} duplicates + "
                f"{row['rejected']} rejected"
            )
            said = visible(row["said"])
            cells = [row["system"], row["name"], row["bus"], row["state"], counts, said]
            self.stdout.write("\t".join(cells))

    def check_tap(self, options: dict[str, Any]) -> None:
        tap = _tap(options)
        checked = queries.checked(tap.system, tap.name, tap.bus, commands.settings_of(tap))
        if options["json"]:
            lines = [{"level": x.level, "words": x.words} for x in checked.lines]
            self.stdout.write(json.dumps({"ok": checked.ok, "lines": lines}))
        else:
            for line in checked.lines:
                self.stdout.write(f"{line.level}: {visible(line.words, longest=1000)}")
        if not checked.ok:
            sys.exit(1)

    def steer(self, verb: str, options: dict[str, Any]) -> None:
        tap = _tap(options)
        if verb == "rewind":
            commands.rewind(_line(tap), tap, options["to"], by=CONSOLE)
        elif verb == "arm":
            commands.arm(_line(tap), tap, options["minutes"], by=CONSOLE)
            self.stderr.write(queries.armed(tap), str)
        else:
            act = {"start": commands.start, "stop": commands.stop, "remove": commands.remove}[verb]
            act(tap, by=CONSOLE)
        if options["json"]:
            self.stdout.write(json.dumps({"name": tap.name, "done": verb}))
        self.stderr.write(f"Tap {tap.name}: {verb}.", str)


def _pairs(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            raise CommandError(f"--set {visible(pair)}: expected key=value.", returncode=2)
        settings[name.strip()] = value
    return settings


def _tap(options: Mapping[str, Any]) -> Tap:
    found = Tap.objects.filter(name=options["name"])
    if options["system"]:
        found = found.filter(system=log.line(options["system"]).system)
    if len(found) > 1:
        raise CommandError("Several systems have that tap; name one with --system.", returncode=2)
    if not found:
        raise CommandError(
            f"There is no tap {visible(options['name'])}. `manage.py tap list` shows those there "
            "are.",
            returncode=2,
        )
    return found[0]


def _line(tap: Tap) -> Line:
    return log.line_of(tap.timeline)
