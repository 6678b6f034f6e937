"""`manage.py import SYSTEM FILE…|-`: events from files into the log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.ingest import files, mapping
from apps.ingest.commands.files import Counts, take_in
from apps.ingest.decode import Limits
from apps.ingest.jobs import Rejected
from apps.ingest.progress import Progress
from apps.ingest.visible import visible

SHOWN = 20  # rejects told one by one
STDIN = "-"


class Command(BaseCommand):
    help = (
        "Import events from files: CloudEvents or plain events, one a line or in one array, or "
        "OpenTelemetry's spans (--format otlp), gzip or not. Importing a file again stores "
        "nothing twice."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("system")
        parser.add_argument("files", nargs="+", metavar="FILE", help="'-' is standard input")
        parser.add_argument(
            "--format", choices=files.FORMATS, default="auto",
            help="auto (the default) tells CloudEvents by their specversion; otlp: traces as the"
            " Collector's file exporter writes them, one request a line, or one in protobuf",
        )  # fmt: skip
        parser.add_argument(
            "--map", action="append", default=[], metavar="NAME=PATH", dest="mapping",
            help="where a part of the event is: type=event.name, or a text: source='shop'",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="nothing on stderr but errors")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = Counts()
        try:
            self.take(options, counts)
        except (
            EventLogError,
            DatabaseError,
            mapping.BadMapping,
            files.Unreadable,
            OSError,
        ) as error:
            if counts.received:
                self.tell(counts)
            raise CommandError(_with_next_step(error, counts), returncode=2) from error
        except KeyboardInterrupt:
            self.tell(counts)
            raise CommandError("Stopped. Import again to go on.", returncode=2) from None
        self.tell(counts)
        if counts.rejected:
            sys.exit(1)

    def take(self, options: dict[str, Any], counts: Counts) -> None:
        if options["format"] == "otlp" and options["mapping"]:
            raise CommandError(
                "--map is for plain events; what a span is, its attributes say.", returncode=2
            )
        line = log.line(options["system"])
        counts.head = line.head
        limits = Limits(event=settings.MAX_EVENT)
        form = files.Form(options["format"], mapping.parse(options["mapping"]), limits)
        total = _size(options["files"])
        progress, told, before = Progress(sys.stderr, total), 0, 0
        for path in options["files"]:
            with _opened(path) as source:
                blocks = files.blocks(path, source, form)
                for step in take_in(line, Path(path).name, blocks, counts):
                    if step.rejects and not options["json"]:
                        progress.end()
                        told = self.complain(path, step.rejects, told)
                    progress.show(before + step.read, counts.received)
            before += 0 if path == STDIN else Path(path).stat().st_size
        progress.end()
        if told > SHOWN:
            self.say(f"… and {told - SHOWN} more; all are kept as rejects.")

    def complain(self, path: str, rejects: Sequence[Rejected], told: int) -> int:
        """Say what was wrong with the first lines, and return how many there were."""
        for reject in rejects[: max(SHOWN - told, 0)]:
            self.say(f"{visible(path)}:{reject.line}: {reject.code}: {visible(reject.detail)}")
        return told + len(rejects)

    def tell(self, counts: Counts) -> None:
        self.stdout.write(msgspec.json.encode(counts).decode())

    def say(self, words: str) -> None:
        self.stderr.write(words, str)


def _size(paths: Sequence[str]) -> int:
    """Return the bytes of all files, 0 if that is not known; OSError for one that is not there."""
    for path in paths:
        if path != STDIN:
            Path(path).open("rb").close()
    return 0 if STDIN in paths else sum(Path(path).stat().st_size for path in paths)


def _opened(path: str) -> BinaryIO:
    return sys.stdin.buffer if path == STDIN else Path(path).open("rb")


def _with_next_step(error: Exception, counts: Counts) -> str:
    if isinstance(error, OSError):
        return f"{visible(str(error.filename or ''))}: {error.strerror or error}. Check the name."
    if not counts.received:
        return str(error)
    return (
        f"{error}. {counts.stored} events were stored before that; import again, "
        "what is stored is not stored twice."
    )
