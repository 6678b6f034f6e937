"""An event as text to paste elsewhere: as a CloudEvent, and as a command that sends it."""

from __future__ import annotations

import base64
import json
import re
import shlex

from apps.eventlog.envelope import Recorded, Undecodable, is_json, isoformat, parse

KEY = "YOUR-KEY"
_NAME = re.compile(r"[a-z0-9]{1,20}\Z")
_UNPRINTED = re.compile(r"[^\x20-\x7e]")


def cloudevent(event: Recorded) -> str:
    """Return the event as one structured CloudEvent 1.0, one line of ASCII, its numbers as sent.

    The data's own bytes are kept where they are JSON; what would move a terminal's cursor is
    escaped. Deliveries are no CloudEvents of the system, yet are written alike.
    """
    shape: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": isoformat(event.time),
    }
    optional = {
        "subject": event.stream,
        "correlationid": event.correlation,
        "causationid": event.causation,
        "partitionkey": event.key,
        "evdebugkind": "" if event.kind == "event" else event.kind,
        "datacontenttype": event.content_type if event.data else "",
    }
    shape |= {name: value for name, value in optional.items() if value}
    for name, value in event.headers().items():
        if _NAME.match(name) and name not in shape and isinstance(value, (str, int, bool)):
            shape[name] = value
    head = json.dumps(shape)[:-1]
    return f"{head}{_data(event)}}}"


def curl(event: Recorded, url: str) -> str:
    """Return a command for a POSIX shell that sends the event again; the key is left to fill in."""
    return " \\\n  ".join(
        [
            f"curl {shlex.quote(url)}",
            f"-H {shlex.quote(f'Authorization: Bearer {KEY}')}",
            "-H 'Content-Type: application/cloudevents+json'",
            f"--data-raw {shlex.quote(cloudevent(event))}",
        ]
    )


def _data(event: Recorded) -> str:
    if not event.data:
        return ""
    if is_json(event.content_type):
        try:
            parse(event.data, event.content_type)
            return ', "data": ' + _ascii(event.data.decode())
        except (Undecodable, UnicodeDecodeError):
            pass
    return f', "data_base64": "{base64.b64encode(event.data).decode()}"'


def _ascii(text: str) -> str:
    """Return JSON text as one line of ASCII: outside strings there are only blanks to replace."""
    return _UNPRINTED.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return " " if char in "\n\r\t" else json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"
