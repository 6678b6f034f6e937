"""An event as text to paste elsewhere: as a CloudEvent, and as a command that sends it."""

from __future__ import annotations

import json
import re
import shlex

from apps.eventlog.envelope import Recorded
from apps.ingest import encode

KEY = "YOUR-KEY"
_UNPRINTED = re.compile(r"[^\x20-\x7e]")


def cloudevent(event: Recorded) -> str:
    """Return the event as one structured CloudEvent 1.0, as the export writes it."""
    return encode.cloudevent(event).decode()


def curl(event: Recorded, url: str) -> str:
    """Return a command for a POSIX shell that sends the event again; the key is left to fill in.

    All of it is printable ASCII: what would move a terminal's cursor is escaped, which JSON allows
    within strings, and outside of them there is nothing of the kind.
    """
    sent = _UNPRINTED.sub(_escaped, cloudevent(event))
    return " \\\n  ".join(
        [
            f"curl {shlex.quote(url)}",
            f"-H {shlex.quote(f'Authorization: Bearer {KEY}')}",
            "-H 'Content-Type: application/cloudevents+json'",
            f"--data-raw {shlex.quote(sent)}",
        ]
    )


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char == "\t":  # between values
        return " "
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]
