"""From the bytes of a request, a line or a file to envelopes: the one door for what is foreign.

Pure, and total: whatever the bytes, the answer is a list of envelopes and problems, or Refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from apps.eventlog.envelope import Envelope
from apps.ingest import cloudevents, deliveries, jsonscan, media, plain
from apps.ingest.bodies import Cut
from apps.ingest.media import Headers, Mode
from apps.ingest.problems import Invalid, Problem, Refused
from apps.ingest.split import elements_of, utf8

BOM = b"\xef\xbb\xbf"
MANY_COMMAS = 250_000  # an array with fewer cannot take more than some 30 MB once taken apart
_BLANK = re.compile(rb"[ \t\r\n]*\Z")

Item = Envelope | Problem
Take = Callable[[bytes], Envelope]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold."""

    event: int = 16 * 1024 * 1024  # bytes
    batch: int = 10_000  # events


@dataclass(frozen=True, slots=True)
class Decoded:
    """The events of a body in order. `single`: the body is one event, not a list of one."""

    items: list[Item]
    single: bool

    @property
    def good(self) -> list[Envelope]:
        """The events without the problems."""
        return [item for item in self.items if isinstance(item, Envelope)]

    def sound(self) -> list[Envelope]:
        """Return the events; Refused (400) where the body is one, and that is a problem."""
        if self.single and isinstance(item := self.items[0], Problem):
            raise Refused(400, item.code, item.detail)
        return self.good


def events(body: bytes, mode: Mode, headers: Headers = (), limits: Limits = Limits()) -> Decoded:
    """Return the events in the body of a request to /v1/events.

    raises  Refused where the body as a whole cannot be read: 400 for what is not JSON or neither
            object nor array, 413 for too many events or one that is too big
    """
    if mode == "binary":
        types = [value for name, value in headers if name == b"content-type"]
        content_type = media.parsed(types[0]).text if types else ""
        content_type = content_type or media.JSON
        return Decoded([_one(lambda raw: cloudevents.binary(headers, raw, content_type), body,
                             limits)], single=True)  # fmt: skip
    body = body.removeprefix(BOM)
    if mode == "structured":
        return Decoded([_one(structured, body, limits)], single=True)
    if mode == "batch":
        return Decoded(_many(structured, body, limits), single=False)
    return _object_or_array(plain.one, body, limits)


def reports(body: bytes, limits: Limits = Limits()) -> Decoded:
    """Return the deliveries in the body of a request to /v1/deliveries; raises as `events`."""
    return _object_or_array(deliveries.one, body.removeprefix(BOM), limits)


def structured(raw: bytes) -> Envelope:
    """Return one structured CloudEvent; Invalid says what is wrong with it."""
    utf8(raw)
    return cloudevents.quick(raw) or cloudevents.one(raw)


def lines(
    block: Sequence[bytes], take: Take, *, first: int, limits: Limits = Limits()
) -> list[Item]:
    """Return one envelope or problem for each line that is not blank, numbered from `first`."""
    found: list[Item] = []
    quick = cloudevents.quick if take is structured else None
    nul = not quick or any(cloudevents.NUL in line for line in block)
    for line in block:
        whole = type(line) is bytes
        if quick and whole and line.isascii() and (envelope := quick(line, nul)) is not None:
            found.append(envelope)
        elif not is_blank(line):
            found.append(item(take, line, first + len(found), limits))
    return found


def is_blank(line: bytes) -> bool:
    """Return whether a line holds no event, and no attempt at one."""
    return _BLANK.match(line) is not None


def _object_or_array(take: Take, body: bytes, limits: Limits) -> Decoded:
    """Decode a body that is one object or an array of them."""
    first = body.lstrip(b" \t\r\n")[:1]
    if first == b"[":
        return Decoded(_many(take, body, limits), single=False)
    return Decoded([_one(take, body, limits)], single=True)


def _one(take: Take, body: bytes, limits: Limits) -> Item:
    if len(body) > limits.event:
        raise Refused(413, "event_too_big", _too_big(len(body), limits))
    return item(take, body, 0, limits)


def _many(take: Take, body: bytes, limits: Limits) -> list[Item]:
    """Decode an array. One bad element spoils none of the others."""
    if body.count(b",") >= MANY_COMMAS and jsonscan.more_than(body, limits.batch):
        raise Refused(413, "too_many_events", _too_many(limits))
    try:
        raws = elements_of(body)
    except Invalid as error:
        raise Refused(400, error.code, error.detail) from None
    if len(raws) > limits.batch:
        raise Refused(413, "too_many_events", _too_many(limits))
    if take is structured and body.isascii():
        return _quick(raws, body, limits)
    return [item(take, bytes(raw), index, limits) for index, raw in enumerate(raws)]


def _quick(raws: Sequence[bytes | Raw], body: bytes, limits: Limits) -> list[Item]:
    """Decode CloudEvents that are known to be ASCII, most of them in one pass."""
    found: list[Item] = []
    nul, quick = cloudevents.NUL in body, cloudevents.quick
    fits = len(body) <= limits.event
    for index, raw in enumerate(raws):
        envelope = quick(raw, nul) if fits or memoryview(raw).nbytes <= limits.event else None
        found.append(envelope or item(structured, bytes(raw), index, limits))
    return found


def item(take: Take, raw: bytes, index: int, limits: Limits) -> Item:
    """Return what `take` makes of one event's bytes: an envelope, or the problem at `index`."""
    size = raw.size if isinstance(raw, Cut) else len(raw)
    if size > limits.event:
        return Problem(index, "event_too_big", _too_big(size, limits))
    try:
        return take(raw)
    except Invalid as error:
        return error.at(index)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:  # belt and braces
        return Problem(index, "invalid_json", str(error))


def _too_big(size: int, limits: Limits) -> str:
    return f"an event has {size} bytes; at most {limits.event} are taken (EVDEBUG_MAX_EVENT)"


def _too_many(limits: Limits) -> str:
    return (
        f"a request holds more than {limits.batch} events (EVDEBUG_MAX_BATCH). Send fewer at once, "
        "or send application/x-ndjson, which has no such bound"
    )
