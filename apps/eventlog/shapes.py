"""What the JSON API answers: one struct a shape, so that answers and their description agree."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from apps.eventlog.envelope import is_json

HARMLESS = {"text/plain", "application/octet-stream", "application/x-protobuf",
            "application/protobuf", "application/avro", "application/msgpack"}  # fmt: skip
JSON_LIKE = re.compile(r"application/([a-z0-9.-]+\+)?json\Z")


class Event(msgspec.Struct, frozen=True):
    """An event of the log. Times are RFC 3339, UTC."""

    position: int
    kind: str
    id: str
    source: str
    type: str
    stream: str
    revision: int | None
    time: str
    recorded_at: str
    log_time: str
    correlation: str
    causation: str
    cause: int | None
    channel: str
    partition: str
    offset: str
    key: str
    tap: str
    datacontenttype: str
    metadata: dict[str, Any]
    seen: int
    data: Any | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | msgspec.UnsetType = msgspec.UNSET
    forgotten: bool | msgspec.UnsetType = msgspec.UNSET
    conflicts_with: int | msgspec.UnsetType = msgspec.UNSET


class Events(msgspec.Struct, frozen=True):
    """A page of events. `next` goes on as `before`, or as `after` in ascending order."""

    events: list[Event]
    next: int | None
    complete: bool
    scanned_to: int | msgspec.UnsetType = msgspec.UNSET


class Head(msgspec.Struct, frozen=True):
    """The newest position, its log_time, and how many events there are."""

    position: int
    log_time: str | None
    events: int


class Delivery(msgspec.Struct, frozen=True):
    """One delivery; it happened between `earliest` and `latest`. No report, no position."""

    position: int | None
    subscriber: str
    attempt: int
    outcome: str
    evidence: str
    earliest: str | None
    latest: str | None
    started_at: str | None
    finished_at: str | None
    duration_ms: float | None
    error: str


class Deliveries(msgspec.Struct, frozen=True):
    """What is known of one event's deliveries, oldest report first. `next` goes on as `after`."""

    deliveries: list[Delivery]
    next: int | None


class Bin(msgspec.Struct, frozen=True):
    """One bar: the events from `time` on, and the first position there."""

    position: int
    time: str
    count: int
    failed: int


class Histogram(msgspec.Struct, frozen=True):
    """Bars in order. `exact` is there, and false, when a scan stopped early."""

    bins: list[Bin]
    exact: bool | msgspec.UnsetType = msgspec.UNSET
    scanned_to: int | msgspec.UnsetType = msgspec.UNSET


class Value(msgspec.Struct, frozen=True):
    """One value of a facet."""

    value: str
    count: int


class Facets(msgspec.Struct, frozen=True):
    """Values by field, most frequent first. `exact` is there, and false, after a partial scan."""

    type: list[Value]
    source: list[Value]
    channel: list[Value]
    kind: list[Value]
    outcome: list[Value]
    subscriber: list[Value]
    exact: bool | msgspec.UnsetType = msgspec.UNSET
    scanned_to: int | msgspec.UnsetType = msgspec.UNSET


class Stream(msgspec.Struct, frozen=True):
    """One stream as of the moment; first and last are positions."""

    stream: str
    category: str
    first: int
    last: int
    events: int


class Streams(msgspec.Struct, frozen=True):
    """A page of streams by name. `next` goes on as `after`; it may be there on an empty page."""

    streams: list[Stream]
    next: str | None
    complete: bool


class Error(msgspec.Struct, frozen=True):
    """What went wrong. An error in a query or moment says where in its text."""

    code: str
    detail: str
    parameter: str | msgspec.UnsetType = msgspec.UNSET
    column: int | msgspec.UnsetType = msgspec.UNSET
    length: int | msgspec.UnsetType = msgspec.UNSET


def harmless(content_type: str) -> str:
    """Return the content type data may be sent with: its own without parameters if no browser
    would run it, else that of plain bytes.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media in HARMLESS or JSON_LIKE.match(media):
        return media
    return "application/octet-stream"


def extension(content_type: str) -> str:
    """Return the end of a file's name for data of a type."""
    if is_json(content_type):
        return "json"
    return "txt" if content_type.startswith("text/plain") else "bin"
