"""`manage.py ingest [NAME…]`: run taps until stopped."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.ingest.commands.run import Supervisor
from apps.ingest.models import Tap


class Command(BaseCommand):
    help = (
        "Run taps until ctrl-C: all that are wanted and nobody runs, or those named. Several "
        "processes may do so and share them; a tap of one that died is taken after 30 seconds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["names"]
        unknown = set(names) - set(Tap.objects.values_list("name", flat=True))
        if unknown:
            raise CommandError(
                f"There is no tap {', '.join(sorted(unknown))}. `manage.py tap list` shows those "
                "there are.",
                returncode=2,
            )
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # On a thread of its own: the handler may interrupt a wait that holds the event's lock.
            signal.signal(number, lambda *_: threading.Thread(target=stopping.set).start())
        self.stderr.write("Taps run until ctrl-C.", str)
        Supervisor(names).run(stopping)
        self.stderr.write("Stopped.", str)
