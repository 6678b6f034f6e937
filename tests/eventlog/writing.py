"""Programs of their own that write to or follow one log: `python -m tests.eventlog.writing …`."""

from __future__ import annotations

import os
import sys
import time

import django


def write(slug: str, writer: str, batches: int, size: int) -> None:
    """Append batches of events, a tenth of them also sent by the next writer."""
    from apps.eventlog.commands.append import append
    from apps.eventlog.envelope import Envelope
    from apps.eventlog.queries import log

    line = log.line(slug)
    for batch in range(batches):
        envelopes = [
            Envelope(
                type=f"T{n % 3}",
                id=f"shared-{batch}-{n}" if n % 10 == 0 else f"{writer}-{batch}-{n}",
                source="/w",
                stream=f"s-{n % 5}",
                data=b"{}",
            )
            for n in range(size)
        ]
        append(line, envelopes)


def follow(slug: str, upto: int) -> None:
    """Read from the start until `upto` events came; print the positions as they came."""
    from apps.eventlog.queries import log

    after, deadline = 0, time.monotonic() + 60
    while after < upto and time.monotonic() < deadline:
        for event in log.read(log.line(slug), after=after, limit=97):
            print(event.position, event.id)
            after = event.position


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "evdebug.settings"
    django.setup()
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        follow(sys.argv[2], int(sys.argv[3]))
