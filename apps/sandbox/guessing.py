"""Which states a handler will ask for: those that lay in the same places of events before.

A handler that reads `event.data["order"]` reads it of the next event, too. A guess costs a state
that is not asked for, or a question that could have been spared; it changes nothing that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PLACES = 8  # of one kind of event
NODES, DEPTH = 200, 4  # of an event that are looked at
Path = tuple[str | int, ...]


class Guesses:
    """The places learned, by service and event type."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[Path]] = {}

    def streams(self, service: str, event: dict[str, Any]) -> list[str]:
        """Return the streams whose states the service may ask for."""
        found: dict[str, None] = {}
        for path in self._places.get((service, event["type"]), ()):
            value = _at(event, path)
            if isinstance(value, str) and value:
                found[value] = None
        return list(found)

    def learn(self, service: str, event: dict[str, Any], read: list[str]) -> None:
        """Note where the streams lay that a handler asked for."""
        places = self._places.setdefault((service, event["type"]), [])
        if len(places) >= PLACES:
            return
        missing = set(read) - set(self.streams(service, event))
        for path, value in _texts(event) if missing else ():
            if value in missing and len(places) < PLACES:
                missing.discard(value)
                places.append(path)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _texts(event: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the texts of an event's stream and data, those near the root first."""
    waiting: list[tuple[Path, Any]] = [(("stream",), event["stream"]), (("data",), event["data"])]
    for path, value in waiting:  # grows as it goes
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict | list) and len(path) < DEPTH and len(waiting) < NODES:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, key), each) for key, each in pairs]
