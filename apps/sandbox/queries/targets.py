"""Which copies of services a run may hand events to, and what it takes to reach them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from apps.access.outbound import Forbidden
from apps.eventlog.envelope import Envelope
from apps.eventlog.places import Line
from apps.ingest import broker_url
from apps.ingest.broker_url import BrokerUrl
from apps.ingest.commands import returning, taps
from apps.ingest.connector import BadSettings
from apps.ingest.connectors.redis import PORTS
from apps.ingest.queries import tap_named
from apps.ingest.queries import taps as taps_of
from apps.sandbox.errors import BadRecipe
from apps.sandbox.outcome import Host
from apps.sandbox.outside import Http
from apps.sandbox.outstream import OUT, PREFIX, Stream

KINDS = ("http", "redis", "tap")  # a URL, a Redis URL with a stream, or a tap's Redis with one
NAME_MAX, TYPES = 200, 500


def is_target(choice: Any) -> bool:
    """Return whether a code choice is a copy outside."""
    return isinstance(choice, Mapping) and any(kind in choice for kind in KINDS)


def of(code: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the services of a recipe that run outside, with where."""
    return {service: choice for service, choice in code.items() if is_target(choice)}


def place(choice: Mapping[str, Any]) -> str:
    """Return where a copy is, as it is shown."""
    if "http" in choice:
        return str(choice["http"])
    return f"{choice.get('redis') or 'tap ' + choice['tap']} · {choice['stream']}"


def checked(service: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target as it is kept. raises  BadRecipe"""
    kind = next(kind for kind in KINDS if kind in choice)
    allowed = {kind, "types"} if kind == "http" else {kind, "stream", "types"}
    if service == "*" or set(choice) - allowed or not isinstance(choice[kind], str):
        raise BadRecipe(
            f'target of {str(service)[:80]!r}: expected one service and {{"http": URL}},'
            ' {"redis": URL, "stream": NAME} or {"tap": NAME, "stream": NAME}, and if wanted'
            ' "types": a list.'
        )
    made: dict[str, Any] = {kind: choice[kind].strip()}
    if kind == "http":
        _http(made[kind])
    else:
        made["stream"] = _stream(choice.get("stream"))
        if kind == "redis":
            _redis(made[kind])
    if types := choice.get("types"):
        if not isinstance(types, list) or not all(isinstance(t, str) and t for t in types[:TYPES]):
            raise BadRecipe("types is a list of the event types the copy handles.")
        made["types"] = sorted(set(types[:TYPES]))
    return made


def _http(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadRecipe(f"The target's address cannot be read: {error}.") from error
    plain = parts.username is None and not parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise BadRecipe("A target is http://host/path or https://host/path, without a password.")
    reachable(parts.hostname, port)


def _redis(url: str) -> None:
    parsed = _parsed(url)
    if parsed.password or parsed.user:
        raise BadRecipe("A target's address holds no password; name a tap of that Redis instead.")
    reachable(parsed.host, parsed.port)


def _parsed(url: str) -> BrokerUrl:
    try:
        parsed = broker_url.parse(url, PORTS)
    except BadSettings as error:
        raise BadRecipe(f"The target's address cannot be used: {error}.") from error
    if parsed.path and not parsed.path.isdecimal():
        raise BadRecipe("The target's address ends with the number of a database: …:6379/0.")
    return parsed


def _stream(name: Any) -> str:
    fits = isinstance(name, str) and name.isprintable() and len(name) <= NAME_MAX
    if not fits or not name.startswith(PREFIX) or name.endswith(OUT):
        raise BadRecipe(
            f"stream is the name of a stream made for sandboxes: it begins with {PREFIX} and does"
            f" not end with {OUT}."
        )
    return str(name)


def reachable(host: str, port: int) -> None:
    """Refuse what an administrator does not let be reached. raises  BadRecipe"""
    try:
        settings.REACH.addresses(host, port)
    except Forbidden as forbidden:
        raise BadRecipe(f"{forbidden}.") from forbidden
    except (OSError, UnicodeError):
        return  # who resolves it is asked again when it is connected to


class Mailbox:
    """Where what copies publish for one run comes in. Close it."""

    def __init__(self, line: Line) -> None:
        self.token = secrets.token_hex(16)
        returning.expect(self.token, line.timeline)

    def count(self, number: int) -> int:
        """Return how many events came with a number so far."""
        return returning.count(self.token, number)

    def take(self, number: int) -> list[Envelope]:
        """Return what came with a number."""
        return returning.returned(self.token, number)

    def close(self) -> None:
        """Wait no longer."""
        returning.end(self.token)


class Copies(Protocol):
    """Who stands for the copies of a run."""

    def host(self, choice: Mapping[str, Any]) -> Host:
        """Return what does the tasks of a copy. raises  BadRecipe"""
        ...

    def close(self) -> None:
        """Let go of them. May be called twice."""
        ...


class Outside:
    """The copies of one run. Close it."""

    def __init__(self, line: Line, beat: Callable[[], object]) -> None:
        self.line, self._beat = line, beat
        self._box: Mailbox | None = None
        self._streams: list[Stream] = []

    def host(self, choice: Mapping[str, Any]) -> Http | Stream:
        """Return what hands events to a copy. raises  BadRecipe"""
        self._box = self._box or Mailbox(self.line)
        around = taps.around(f"sandbox-{self.line.slug}")
        if "http" in choice:
            _http(choice["http"])
            return Http(choice["http"], around, self._box, beat=self._beat)
        self._not_a_source(choice["stream"])
        url = _parsed(self._tapped(choice["tap"]) if "tap" in choice else choice["redis"])
        reachable(url.host, url.port)
        made = Stream(url, choice["stream"], around, self._box, beat=self._beat)
        self._streams.append(made)
        return made

    def _tapped(self, name: str) -> str:
        tap = tap_named(self.line, name)
        if tap is None or tap.bus != "redis":
            raise BadRecipe(f"There is no tap of a Redis called {name[:63]!r}.")
        return taps.settings_of(tap)["url"]

    def _not_a_source(self, stream: str) -> None:
        """Refuse a stream that is recorded: a copy's events would become the system's."""
        for tap in taps_of(self.line):
            given = taps.settings_of(tap).get("streams", "") if tap.bus == "redis" else ""
            if {stream, stream + OUT} & set(given.replace(",", " ").split()):
                raise BadRecipe(f"{stream} is recorded by the tap {tap.name}. Name another stream.")

    def close(self) -> None:
        """Let go of the copies. May be called twice."""
        for stream in self._streams:
            stream.close()
        if self._box is not None:
            self._box.close()
        self._box = None
