"""Sends entries to evdebug's doors and comes back only when they are stored.

Whatever may pass is waited for: a server that is not up yet, busy (429) or cannot store (503).
What will not pass, a wrong key or address, is raised. Sending again is harmless: the log takes an
event with the same source and id once.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Any
from urllib.parse import urlsplit

FIRST_WAIT = 0.2  # seconds; doubled each time
LONGEST_WAIT = 5.0
LONGEST_RETRY_AFTER = 30.0
TIMEOUT = 60.0
PERMANENT = {400, 401, 403, 404, 405, 413, 415, 422}
KINDS = {  # door: content types of a stream of lines and of one array
    "events": ("application/x-ndjson", "application/cloudevents-batch+json"),
    "deliveries": ("application/x-ndjson", "application/json"),
}


class Refused(Exception):
    """The door will not take this, however often it is sent."""


class Stopped(Exception):
    """The shop was told to stop while it waited for the door."""


class Door:
    """One keep-alive connection to evdebug. Not for use by two threads at once.

    stop  ends every wait with Stopped once it is set
    """

    def __init__(self, url: str, key: str, stop: Event) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address; expected http://HOST:PORT.")
        self.url = url
        self.stop = stop
        self.stored = self.duplicates = self.rejected = self.retries = 0
        self._key = key
        self._path = parts.path.rstrip("/")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        self._waiting = False

    def send(self, door: str, lines: Sequence[str], *, stream: bool = False) -> None:
        """Store `lines` through "events" or "deliveries", in order; wait until it has happened.

        stream  as NDJSON of any length instead of as one array
        raises  Refused, Stopped
        """
        if not lines:
            return
        kind = KINDS[door][0 if stream else 1]
        body = ("\n".join(lines) if stream else f"[{','.join(lines)}]").encode()
        wait = FIRST_WAIT
        while True:
            pause = self._try(door, kind, body)
            if pause is None:
                return
            self.retries += 1
            if self.stop.wait(min(pause, LONGEST_RETRY_AFTER) if pause else wait):
                raise Stopped
            wait = min(wait * 2, LONGEST_WAIT)

    def abort(self) -> None:
        """End every wait now, also the one for an answer. For another thread, not for a handler."""
        self.stop.set()
        waiting = self._connection.sock
        if waiting is not None:
            with suppress(OSError):  # it may just have ended by itself
                waiting.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()

    def _try(self, door: str, kind: str, body: bytes) -> float | None:
        """Send once. None: stored; a number of seconds, 0 for any: try again after it."""
        try:
            status, headers, answer = self._post(f"{self._path}/v1/{door}", kind, body)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if self.stop.is_set():
                raise Stopped from error
            self._say(f"{self.url} does not answer ({error}); trying again.")
            return 0.0
        if status == 200:
            self._count(json.loads(answer))
            return None
        if status in PERMANENT:
            text = answer.decode(errors="replace")[:500]
            raise Refused(f"{self.url}/v1/{door} answered {status}: {text}")
        self._say(f"{self.url} answers {status}; trying again.")
        return seconds(headers.get("retry-after", ""))

    def _post(self, path: str, kind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": kind}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read()

    def _count(self, answer: dict[str, Any]) -> None:
        self.stored += answer["stored"]
        self.duplicates += answer["duplicates"]
        self.rejected += answer["rejected"]
        if self._waiting:
            print(f"shop: {self.url} answers again.", file=sys.stderr)
            self._waiting = False
        for problem in answer.get("problems", [])[:3]:
            print(f"shop: rejected: {problem}", file=sys.stderr)

    def _say(self, text: str) -> None:
        """Say once per trouble what is being waited for."""
        if not self._waiting:
            print(f"shop: {text}", file=sys.stderr)
            self._waiting = True


def seconds(text: str) -> float:
    """Return a Retry-After given in seconds; 0 for none or a date."""
    return float(text) if text.isascii() and text.isdigit() else 0.0
