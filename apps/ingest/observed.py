"""What a bus shows of its subscribers and of itself, as events of the log."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

import msgspec

from apps.eventlog.envelope import NAME_MAX, OUTCOMES, Envelope, isoformat
from apps.ingest.connector import Delivery, Gap, Progress

ERROR_MAX = 4000  # characters
WORDS = {"passed": "offset"}  # how readers of the log call an evidence, where it is not our word


def delivery(d: Delivery, *, tap: str, position: int | None, now: int) -> Envelope:
    """Return a delivery as an event; `position` is that of its event, None when not known."""
    assert d.outcome in OUTCOMES, d.outcome
    at = d.latest if d.latest is not None else now
    told: dict[str, Any] = {
        "event": {"position": position} if position else {"id": d.event_id or _where(d)},
        "subscriber": d.subscriber, "attempt": d.attempt, "outcome": d.outcome,
        "evidence": WORDS.get(d.evidence, d.evidence),
    }  # fmt: skip
    if d.event_source:
        told["event"]["source"] = d.event_source
    if d.started is not None:
        told |= {"started_at": isoformat(d.started), "finished_at": isoformat(at)}
    if d.earliest is not None:
        told["earliest"] = isoformat(d.earliest)
    if d.latest is not None:
        told["latest"] = isoformat(d.latest)
    if d.error:
        told["error"] = d.error[:ERROR_MAX]
    data = msgspec.json.encode(told | {n: v for n, v in d.facts.items() if n not in told})
    return Envelope(
        kind="delivery", type=d.outcome, source=_name(d.subscriber), time=at, data=data,
        id=_identity("delivery", tap, _where(d), d.event_id, d.event_source, d.subscriber,
                     d.attempt, d.outcome),
        cause=position, causation="" if position else d.event_id or _name(_where(d)),
        causation_source="" if position else d.event_source,
        channel=_name(d.channel), partition=_name(d.partition), offset=_name(d.offset), tap=tap,
    )  # fmt: skip


def progress(p: Progress, *, tap: str) -> Envelope:
    """Return how far a subscriber is as an event of kind progress."""
    told = {"next": p.offset, "end": p.end, "lag": p.lag} | dict(p.facts)
    return Envelope(
        kind="progress", type="progress", source=_name(p.subscriber), time=p.at,
        id=_identity("progress", tap, p.subscriber, p.channel, p.partition, p.offset, p.at),
        channel=_name(p.channel), partition=_name(p.partition), offset=_name(p.offset), tap=tap,
        data=msgspec.json.encode({n: v for n, v in told.items() if v not in ("", None)}),
    )  # fmt: skip


def gap(g: Gap, *, tap: str) -> Envelope:
    """Return records that are lost to us as an event of kind progress and type gap."""
    told = {"cause": g.cause, "after": g.after, "upto": g.upto, "count": g.count, "words": g.words}
    return Envelope(
        kind="progress", type="gap", source=f"/{tap}", time=g.at,
        id=_identity("gap", tap, g.channel, g.partition, g.after, g.upto, g.at),
        channel=_name(g.channel), partition=_name(g.partition), offset=_name(g.after), tap=tap,
        data=msgspec.json.encode({n: v for n, v in told.items() if v not in ("", None)}),
    )  # fmt: skip


def lane(channel: str, partition: str, epoch: str) -> int:
    """Return a lane as a signed 64-bit integer."""
    seed = "\0".join((channel, partition, epoch)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(seed, digest_size=8).digest(), signed=True)


def sortable(offset: str) -> str:
    """Return an offset so written that texts sort as the numbers in it do."""
    return re.sub(r"\d+", lambda found: found[0].rjust(20, "0"), offset)[:255]


def _where(d: Delivery) -> str:
    where = f"{d.channel}/{d.partition}/{d.offset}" if d.offset else ""
    return where + (f"@{d.epoch}" if d.epoch and where else "")


def _name(text: str) -> str:
    """Return a text that a name of the log can be, cut where it is too long."""
    clean = text.replace("\0", "\\0").encode("utf-8", "backslashreplace")[:NAME_MAX]
    return clean.decode("utf-8", "ignore")


def _identity(*parts: str | int | None) -> str:
    h = blake2b(msgspec.json.encode([str(p) for p in parts]), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
