"""`manage.py tail SYSTEM`: the newest events on a terminal, one a line."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.eventlog.envelope import Recorded, isoformat
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log, search
from apps.ingest import encode
from apps.ingest.management.pages import pages
from apps.ingest.visible import visible

LAST = 20  # events shown when nobody says from where
PAUSE_S = 0.25


class Command(BaseCommand):
    help = "Print events, one a line: the last 20, or those after a position."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("system")
        parser.add_argument("--after", type=int, default=None, metavar="P")
        parser.add_argument("--query", default="", help="only what matches, as in the browser")
        parser.add_argument("--follow", action="store_true", help="go on with what arrives")
        parser.add_argument("--json", action="store_true", help="print events as in the JSON API")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"])
            after = self.start(line, options["query"], options["after"])
            after = self.show(line, after, options)
            while options["follow"]:
                time.sleep(PAUSE_S)
                after = self.show(log.line(line.slug), after, options)
        except (EventLogError, DatabaseError) as error:
            raise CommandError(str(error), returncode=2) from error
        except BrokenPipeError:  # whoever read has enough
            sys.stderr.close()
        except KeyboardInterrupt:
            pass

    def start(self, line: Line, query: str, after: int | None) -> int:
        """Return the position to begin after."""
        if after is not None:
            return after
        last = search.search(line, query, limit=LAST).events
        return last[-1].position - 1 if last else line.head

    def show(self, line: Line, after: int, options: dict[str, Any]) -> int:
        """Print what is after a position and return the one looked at last."""
        write = _json if options["json"] else _text
        for events in pages(line, options["query"], after=after, upto=line.head):
            sys.stdout.buffer.write(b"".join(write(event) for event in events))
            sys.stdout.buffer.flush()
        return max(line.head, after)


def _json(event: Recorded) -> bytes:
    return encode.jsonl(event) + b"\n"


def _text(event: Recorded) -> bytes:
    parts = [
        f"#{event.position}", isoformat(event.time), event.kind, visible(event.type),
        visible(event.source),
    ]  # fmt: skip
    if event.stream:
        parts.append(visible(event.stream))
    return ("  ".join(parts) + "\n").encode("utf-8", "backslashreplace")
