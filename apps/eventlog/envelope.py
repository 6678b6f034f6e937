"""What goes into the log and what comes out of it: plain values, no database."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import msgspec

Kind = Literal["event", "command", "response", "delivery", "progress", "span"]
KINDS: tuple[str, ...] = ("event", "command", "response", "delivery", "progress", "span")
OUTCOMES: tuple[str, ...] = ("received", "handled", "failed", "dead_lettered", "skipped")
EVIDENCE = frozenset({  # of a report; else it is somebody's word
    "acked", "advisory", "dead_letter", "delivered", "job", "offset", "span", "task_event",
})  # fmt: skip
FAILURES = frozenset({"failed", "dead_lettered"})  # outcomes that count as a failure
OTLP = "otlp"  # the tap of what was made from spans
NAME_MAX = 1024  # bytes of UTF-8 in an id, type, source, stream, correlation, channel or key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as its producer described it, before the log recorded it.

    Strings hold no NUL and no lone surrogates and are at most NAME_MAX bytes of UTF-8: who makes
    an envelope from foreign input checks that (`apps.ingest.decode`). "" means the producer gave
    none. `time` is microseconds since 1970 UTC, None when the producer gave no time.

    A delivery is an envelope of kind "delivery": `type` is its outcome, `source` the subscriber,
    and `cause` or `causation` names the event that was delivered. A span is what a service did on
    the way, `type` its name. Both, and all that a tap of spans made, belong to the correlation of
    their cause where they name none.
    """

    type: str
    id: str
    source: str = ""
    kind: Kind = "event"
    stream: str = ""
    time: int | None = None
    correlation: str = ""
    causation: str = ""  # id of the event that directly caused this one
    causation_source: str = ""  # its source where the producer says so, or ""
    cause: int | None = None  # its position where that is known already
    channel: str = ""
    partition: str = ""
    offset: str = ""
    key: str = ""
    tap: str = ""
    content_type: str = "application/json"
    data: bytes = b""  # exactly as received
    metadata: bytes = b""  # a JSON object: headers and extension attributes; b"" for none


def inherits(kind: str, tap: str) -> bool:
    """Return whether an event without a correlation id takes that of its cause."""
    return kind == "delivery" or kind == "span" or tap == OTLP


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as the log holds it. Times are microseconds since 1970 UTC."""

    position: int
    kind: str
    id: str
    source: str
    type: str
    stream: str
    revision: int | None  # None without a stream
    time: int
    recorded_at: int
    log_time: int  # never falls as positions rise
    correlation: str
    causation: str
    cause: int | None  # position of the causing event, None while it is not in the log
    channel: str
    partition: str
    offset: str
    key: str
    tap: str
    content_type: str
    data: bytes | None  # None once forgotten
    metadata: bytes
    seen: int = 1  # how often it arrived
    conflicts_with: int | None = None  # an earlier event with the same source and id, other content

    @property
    def forgotten(self) -> bool:
        """Whether only the tombstone is left."""
        return self.data is None

    @property
    def failed(self) -> bool:
        """Whether this is a delivery that went wrong."""
        return self.kind == "delivery" and self.type in FAILURES

    def value(self) -> Any:
        """Return `data` parsed; raise Undecodable where it is not JSON."""
        return parse(self.data or b"", self.content_type)

    def headers(self) -> dict[str, Any]:
        """Return the metadata as a dict, empty where there is none."""
        return msgspec.json.decode(self.metadata) if self.metadata else {}


class Undecodable(ValueError):
    """The bytes are not JSON of a size and depth that can be shown as a value."""


@lru_cache(1024)
def is_json(content_type: str) -> bool:
    """Return whether a content type says JSON: application/json, text/json or anything +json."""
    media = content_type.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


def parse(data: bytes, content_type: str = "application/json") -> Any:
    """Return the JSON value in `data`, integers exact; None for empty data.

    raises  Undecodable for another content type, malformed JSON, invalid UTF-8, NaN or infinity,
            numbers out of range and nesting beyond the parser's limit
    """
    if not data:
        return None
    if not is_json(content_type):
        raise Undecodable(f"content type {content_type!r} is not JSON")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error) or "nested too deeply") from error


def microseconds(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Return microseconds since 1970 UTC as an aware datetime."""
    return EPOCH + timedelta(microseconds=us)


def isoformat(us: int) -> str:
    """Return microseconds since 1970 as RFC 3339 UTC: milliseconds, or microseconds if needed."""
    digits = "microseconds" if us % 1000 else "milliseconds"
    return moment(us).isoformat(timespec=digits)[:-6] + "Z"


def jsonable(event: Recorded) -> dict[str, Any]:
    """Return `event` in the shape of the JSON API (INTERFACES: an event)."""
    shape: dict[str, Any] = {
        "position": event.position,
        "kind": event.kind,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "stream": event.stream,
        "revision": event.revision,
        "time": isoformat(event.time),
        "recorded_at": isoformat(event.recorded_at),
        "log_time": isoformat(event.log_time),
        "correlation": event.correlation,
        "causation": event.causation,
        "cause": event.cause,
        "channel": event.channel,
        "partition": event.partition,
        "offset": event.offset,
        "key": event.key,
        "tap": event.tap,
        "datacontenttype": event.content_type,
    }
    if event.data is None:
        shape["forgotten"] = True
    else:
        shape |= _data(event)
    shape["metadata"] = event.headers()
    shape["seen"] = event.seen
    if event.conflicts_with is not None:
        shape["conflicts_with"] = event.conflicts_with
    return shape


def _data(event: Recorded) -> dict[str, Any]:
    if not event.data:
        return {}
    if is_json(event.content_type):
        try:
            event.value()
        except Undecodable:
            pass
        else:
            return {"data": msgspec.Raw(event.data)}  # the producer's own digits, untouched
    return {"data_base64": base64.b64encode(event.data).decode("ascii")}
