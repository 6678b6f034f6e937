"""RabbitMQ's stream queues: logs that are read from an offset, and change nothing by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from apps.ingest.connector import Cursor, Gap, Record
from apps.ingest.connectors.rabbitmq_records import now, record
from apps.ingest.connectors.rabbitmq_wire import Given, Wire
from apps.ingest.unsettled import digest

PREFETCH = 1000
CHUNK = 10_000  # messages a stream may have taken as one
PATIENCE_S = 3.0  # until a message that was read before should have come again
LANE = "stream "
OFFSET = "x-stream-offset"


class Place(msgspec.Struct, array_like=True):
    """How far a stream is read."""

    offset: int | None = None  # of the last message read or passed over, -1 before all
    generation: int = 0
    mark: str = ""  # digest of that message

    @property
    def epoch(self) -> str:
        return str(self.generation) if self.generation else ""


class StreamQueues:
    """Reads streams on a channel of their own."""

    def __init__(
        self, wire: Wire, names: Sequence[str], cursor: Cursor, start: str | datetime
    ) -> None:
        self._wire, self._tag, self._start = wire, 0, start
        self._places = {
            name: msgspec.json.decode(cursor[LANE + name], type=Place)
            if LANE + name in cursor else Place()
            for name in names
        }  # fmt: skip
        if names:
            wire.others.basic_qos(0, PREFETCH, False)
        for name in [n for n, p in self._places.items() if start == "now" and p.offset is None]:
            self._places[name] = self._end(name)
        # The message read last is asked for again: were it another, or not there, the stream would
        # have been made anew.
        self._awaited = {n: PATIENCE_S for n, p in self._places.items() if p.mark}
        for name in names:
            self._consume(name, self._from(self._places[name]))

    def _end(self, name: str) -> Place:
        """Return the place after the last message: "next" has no number before something came."""
        last = self._wire.peek(name, "last", CHUNK, PATIENCE_S)
        if not last:
            return Place(-1)
        offset, found = _read(last[-1], name, "")
        return Place(offset, 0, digest(found).hex())

    def _from(self, place: Place) -> Any:
        if place.offset is not None:
            return max(place.offset, 0)
        if isinstance(self._start, datetime):
            return self._start.astimezone(UTC).replace(tzinfo=None)
        return "first"

    def _consume(self, name: str, start: Any) -> None:
        self._wire.consume(name, LANE + name, apart=True, arguments={OFFSET: start})

    def take(self, given: Given, records: list[Record], gaps: list[Gap]) -> None:
        """Add a message to `records`, and what is missing before it to `gaps`."""
        name = given.consumer.removeprefix(LANE)
        self._tag = given.tag
        place = self._places[name]
        offset, found = _read(given, name, place.epoch)
        mark = digest(found).hex()
        if self._awaited.pop(name, 0) and offset == place.offset and mark == place.mark:
            return
        if place.offset is not None and offset <= place.offset:
            self._begin_again(name, gaps)
            return
        if place.offset is not None and offset > place.offset + 1:
            gaps += self._removed(name, place.offset, offset)
        place.offset, place.mark = offset, mark
        records.append(found)

    def _removed(self, name: str, after: int, before: int) -> list[Gap]:
        """Return the gap between two offsets; the broker uses some for notes of its own, too."""
        kept = self._wire.peek(name, "first", 1, PATIENCE_S)
        first = int(_headers(kept[0])[OFFSET]) if kept else before
        upto = min(first, before) - 1
        return [_gone(name, after, upto)] if upto > after else []

    def waited(self, seconds: float, gaps: list[Gap]) -> None:
        """Note that nothing came for so long: what is awaited is not there any more."""
        for name in list(self._awaited):
            self._awaited[name] -= seconds
            if self._awaited[name] <= 0:
                self._begin_again(name, gaps)

    def _begin_again(self, name: str, gaps: list[Gap]) -> None:
        """Read a stream that was made anew from its first message on."""
        place = self._places[name]
        gaps.append(_anew(name, place.offset or 0))
        self._places[name] = Place(None, place.generation + 1)
        self._awaited.pop(name, None)
        self._wire.cancel_other(LANE + name)
        self._consume(name, "first")

    def settle(self) -> None:
        """Have the broker send more."""
        if self._tag:
            self._wire.acknowledge_others(self._tag)
            self._tag = 0

    def cursor(self) -> dict[str, str]:
        return {LANE + n: msgspec.json.encode(p).decode() for n, p in self._places.items()}


def _read(given: Given, name: str, epoch: str) -> tuple[int, Record]:
    """Return a message's offset, and the message."""
    headers = _headers(given)
    offset = int(headers.pop(OFFSET))
    properties = given.properties | {"application_headers": headers}
    return offset, record(
        properties, given.body, channel=name, key=given.key, offset=str(offset), epoch=epoch
    )


def _headers(given: Given) -> dict[str, Any]:
    return dict(given.properties.get("application_headers") or {})


def _anew(stream: str, last: int) -> Gap:
    return Gap(
        channel=stream, cause="recreated", after=str(last), at=now(),
        words="The stream was deleted and made anew; what had not been read of it is lost.",
    )  # fmt: skip


def _gone(stream: str, after: int, upto: int) -> Gap:
    return Gap(
        channel=stream, cause="retention", after=str(after), upto=str(upto), count=upto - after,
        at=now(), words=f"Up to {upto - after:,} messages were removed before they were read.",
    )  # fmt: skip
