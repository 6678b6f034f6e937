"""Reports of deliveries into envelopes: who was given which event, and what came of it.

A delivery is an event of the log: its type is the outcome, its source the subscriber, its cause
the event that was delivered, its data the object as it was reported.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apps.eventlog.envelope import OUTCOMES, Envelope
from apps.ingest import build, names, timestamps
from apps.ingest.cloudevents import NUL, Given, Short
from apps.ingest.plain import position_of
from apps.ingest.problems import Invalid, shown
from apps.ingest.split import members_of, utf8

ATTEMPTS = 1 << 31
EXPECTED = 'expected {"id","source"} or {"position"}'


class Delivered(msgspec.Struct):
    """The event of a report as most name it."""

    id: Given
    source: Short = ""


class Usual(msgspec.Struct):
    """A report as most look; more members may be there, and stay in the data."""

    event: Delivered
    subscriber: Given
    outcome: Literal[OUTCOMES]  # type: ignore[valid-type]
    attempt: Annotated[int, Meta(ge=1, lt=ATTEMPTS)] = 1
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    channel: Short = ""
    correlation: Short = ""


_usual = msgspec.json.Decoder(Usual).decode


def one(raw: bytes) -> Envelope:
    """Return the delivery reported in `raw`.

    The same event, subscriber, attempt and outcome reported twice get the same id, so a report
    may be sent again.
    raises  Invalid
    """
    utf8(raw)
    return _quick(raw) or _careful(raw.strip())


def _quick(raw: bytes) -> Envelope | None:
    try:
        r = _usual(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    times = [timestamps.usual(text) for text in (r.started_at, r.finished_at) if text is not None]
    if not times or None in times or NUL in raw:
        return None
    return Envelope(
        kind="delivery", type=r.outcome, source=r.subscriber, time=times[-1], data=raw.strip(),
        id=_identity(r.event.id, r.event.source, None, r.subscriber, r.attempt, r.outcome),
        causation=r.event.id, causation_source=r.event.source, channel=r.channel,
        correlation=r.correlation,
    )  # fmt: skip


def _careful(raw: bytes) -> Envelope:
    members = {name: value for name, value in members_of(raw).items() if value != b"null"}
    subscriber = _text(members, "subscriber")
    if not subscriber:
        raise Invalid("missing_subscriber", "subscriber is missing or empty: who was given it?")
    outcome = _text(members, "outcome")
    if outcome not in OUTCOMES:
        raise Invalid(
            "bad_outcome", f"outcome {shown(outcome)}: expected one of {', '.join(OUTCOMES)}"
        )
    if "error" in members:
        names.text_of(members["error"], "error")
    attempt = _attempt(members.get("attempt", b"1"))
    event_id, event_source, position = _event(members)
    started, said_of_start = build.moment(members.get("started_at"), field="started_at")
    finished, said = build.moment(members.get("finished_at"), field="finished_at")
    return Envelope(
        kind="delivery", type=outcome, source=subscriber, data=raw,
        time=started if finished is None else finished,
        id=_identity(event_id, event_source, position, subscriber, attempt, outcome),
        causation=event_id, causation_source=event_source, cause=position,
        channel=_text(members, "channel"), correlation=_text(members, "correlation"),
        metadata=names.metadata(said_of_start if finished is None else said),
    )  # fmt: skip


def _event(members: dict[str, bytes]) -> tuple[str, str, int | None]:
    """Return the delivered event's id and source, or its position."""
    raw = members.get("event")
    if raw is None:
        raise Invalid("missing_event", f"event is missing; {EXPECTED}")
    if not raw.startswith(b"{"):
        raise Invalid("bad_event", f"event is {names.kind_of(raw)}; expected an object")
    event = {name: value for name, value in members_of(raw).items() if value != b"null"}
    event_id, source = _text(event, "id", of="event."), _text(event, "source", of="event.")
    if event_id:
        return event_id, source, None
    if "position" not in event:
        raise Invalid("missing_event", f"event holds no id; {EXPECTED}")
    return "", "", position_of(event["position"], "event.position")


def _attempt(raw: bytes) -> int:
    if raw.isdigit() and len(raw) < 11 and 0 < int(raw) < ATTEMPTS:
        return int(raw)
    raise Invalid("bad_attempt", "attempt is no count of attempts; expected a whole number from 1")


def _text(members: dict[str, bytes], name: str, *, of: str = "") -> str:
    raw = members.get(name)
    return "" if raw is None else names.checked(names.text_of(raw, of + name), of + name)


def _identity(*parts: str | int | None) -> str:
    """Return a UUID made of what a report is about."""
    h = blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
