"""What a request says it carries, taken at its word: nothing is ever sniffed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from apps.ingest.problems import Refused, shown

Mode = Literal["structured", "batch", "binary", "lines", "plain"]

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
JSON = "application/json"
ACCEPTED = f"{STRUCTURED}, {BATCH}, {LINES[0]}, {JSON}, or any other with ce- headers (binary mode)"
DELIVERIES_ACCEPTED = f"{JSON} or {LINES[0]}"
UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's token, not a secret
_MEDIA = re.compile(rf"[ \t]*({_TOKEN})/({_TOKEN})[ \t]*(?:;|\Z)")
_CHARSET = re.compile(r";[ \t]*charset[ \t]*=[ \t]*\"?([^\";, \t]*)\"?", re.IGNORECASE)

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Media:
    """A content type as sent, and its parts in lower case."""

    text: str
    media: str  # type/subtype, "" without a Content-Type
    charset: str


@lru_cache(maxsize=256)
def mode(is_report: bool, types: tuple[bytes, ...], attributes: bool, *, empty: bool) -> Mode:
    """Return how what a request brings is written.

    is_report   whether it is for /v1/deliveries
    types       its Content-Type headers
    attributes  whether there are ce- headers
    empty       whether the body is: an event without data needs no content type in binary mode
    raises      Refused (415) naming what is accepted
    """
    if len(types) > 1:
        raise Refused(415, "unsupported_content_type", "Content-Type is there twice; send it once")
    accepted = DELIVERIES_ACCEPTED if is_report else ACCEPTED
    media = parsed(types[0], accepted) if types else Media("", "", "")
    return _mode_of_reports(media) if is_report else _mode_of_events(media, attributes, empty)


def parsed(value: bytes, accepted: str = ACCEPTED) -> Media:
    """Return the parts of a Content-Type; Refused (415) where it is none."""
    text = value.decode("latin-1").strip()
    if not text:
        return Media("", "", "")
    found = _MEDIA.match(text)
    if not found:
        raise _unsupported(text, accepted)
    charset = _CHARSET.search(text)
    return Media(text, f"{found[1]}/{found[2]}".lower(), charset[1].lower() if charset else "")


def _mode_of_events(media: Media, attributes: bool, empty: bool) -> Mode:
    if media.media == STRUCTURED:
        return _in_utf8("structured", media)
    if media.media == BATCH:
        return _in_utf8("batch", media)
    if media.media.startswith("application/cloudevents"):
        raise _unsupported(media.text, ACCEPTED)
    if media.media in LINES:
        return _in_utf8("lines", media)
    if attributes and (media.media or empty):
        return "binary"
    if media.media == JSON:
        return _in_utf8("plain", media)
    raise _unsupported(media.text, ACCEPTED)


def _mode_of_reports(media: Media) -> Mode:
    if media.media in LINES:
        return _in_utf8("lines", media)
    if media.media == JSON:
        return _in_utf8("plain", media)
    raise _unsupported(media.text, DELIVERIES_ACCEPTED)


def _in_utf8(mode: Mode, media: Media) -> Mode:
    if media.charset not in UTF8:
        raise Refused(
            415,
            "unsupported_content_type",
            f"charset {shown(media.charset)} is not read; JSON is UTF-8. Send UTF-8",
        )
    return mode


def _unsupported(text: str, accepted: str) -> Refused:
    said = f"Content-Type {shown(text)} is not taken here" if text else "Content-Type is missing"
    return Refused(415, "unsupported_content_type", f"{said}; accepted are {accepted}")
