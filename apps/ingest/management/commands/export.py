"""`manage.py export SYSTEM`: events out of the log, ready to be imported again."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.eventlog.envelope import Recorded
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest import encode
from apps.ingest.management.pages import Sources, pages
from apps.ingest.progress import Progress

FORMATS = ("cloudevents", "jsonl", "csv")


class Command(BaseCommand):
    help = (
        "Print events: cloudevents (exact, what `import` takes), jsonl (as in the JSON API) or "
        "csv (for spreadsheets)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("system")
        parser.add_argument("--query", default="", help="only what matches, as in the browser")
        parser.add_argument("--from", type=int, default=1, dest="first", metavar="P")
        parser.add_argument("--to", type=int, default=None, dest="last", metavar="P")
        parser.add_argument("--format", choices=FORMATS, default="cloudevents")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            line = log.line(options["system"])
            self.write(line, options)
        except (EventLogError, DatabaseError) as error:
            raise CommandError(str(error), returncode=2) from error
        except BrokenPipeError:  # whoever read has enough
            sys.stderr.close()

    def write(self, line: Line, options: dict[str, Any]) -> None:
        """Write all matching events to stdout, in order."""
        last = line.head if options["last"] is None else min(options["last"], line.head)
        first = max(options["first"], 1)
        out, form = sys.stdout.buffer, options["format"]
        progress = Progress(sys.stderr, last - first + 1)
        written = 0
        if form == "csv":
            out.write(_csv([list(encode.COLUMNS)]))
        sources = Sources(line)
        for events in pages(line, options["query"], after=first - 1, upto=last):
            out.write(b"".join(_rows(events, form, sources)))
            written += len(events)
            progress.show(events[-1].position - first + 1, written)
        out.flush()
        progress.end()


def _rows(events: list[Recorded], form: str, sources: Sources) -> Iterator[bytes]:
    if form == "csv":
        yield _csv([encode.cells(event) for event in events])
    elif form == "jsonl":
        for event in events:
            yield encode.jsonl(event) + b"\n"
    else:
        sources.learn(events)
        for event in events:
            yield encode.cloudevent(event, cause_source=sources.of(event)) + b"\n"


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
