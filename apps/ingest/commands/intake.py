"""One batch of a bus into the log: events, rejects, deliveries, gaps and cursor in one commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from django.db import DataError, IntegrityError, transaction
from django.db.models import F

from apps.eventlog.envelope import Envelope
from apps.ingest import observed, records
from apps.ingest.commands import taps
from apps.ingest.commands.placing import Places
from apps.ingest.connector import Batch, Delivery, Record
from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job, Rejected, Stored
from apps.ingest.models import Reject, Tap
from apps.ingest.records import Form
from apps.ingest.writer import batch as writing

REJECT_MAX = 1024 * 1024  # bytes kept of one


class LeaseLost(Exception):
    """The tap was changed or taken by another process; nothing was stored."""


class Decoded(NamedTuple):
    """A batch's records, decoded: what is still to be stored."""

    records: list[Record]
    envelopes: list[Envelope]
    rejects: list[tuple[Record, Rejected]]
    again: int


def decode(batch: Batch, form: Form) -> Decoded:
    """Decode a batch.  raises  Unreachable where a schema registry cannot be asked now"""
    taken, envelopes, rejects, again = [], [], [], 0
    usual = form.usual
    for record in batch.records:
        if record.again:
            again += 1
            continue
        if usual and (envelope := records.quick(record, form)) is not None:
            taken.append(record)
            envelopes.append(envelope)
            continue
        found = records.take(record, form)
        if found.envelope is not None:
            taken.append(record)
            envelopes.append(found.envelope)
        elif found.reject is not None:
            rejects.append((record, found.reject))
    return Decoded(taken, envelopes, rejects, again)


def store(
    tap: Tap, batch: Batch, decoded: Decoded, form: Form, places: Places | None
) -> Counter[str]:
    """Commit a batch and return what was counted.

    raises  LeaseLost; LogUnavailable and django.db errors, after which nothing of it is stored
    """
    try:
        return _store(tap, batch, decoded, form, places, picky=False)
    except (DataError, IntegrityError):
        return _store(tap, batch, decoded, form, places, picky=True)


def _store(
    tap: Tap, batch: Batch, decoded: Decoded, form: Form, places: Places | None, *, picky: bool
) -> Counter[str]:
    counts: Counter[str] = Counter(received=len(batch.records), duplicates=decoded.again)
    with transaction.atomic():
        stored = _append(tap.timeline, decoded.envelopes, picky=picky)
        reached("tap_mid_batch")
        rejects = list(decoded.rejects)
        for problem in stored.problems:
            record = decoded.records[problem.index]
            rejects.append((record, records.refused(record, problem, form)))
        counts.update(stored=stored.stored, duplicates=stored.duplicates, rejected=len(rejects))
        _keep(tap, rejects, form)
        noted = _observe(tap, batch, decoded, stored, form, places)
        counts.update(deliveries=noted, gaps=len(batch.gaps))
        _move(tap, batch, counts, form)
        reached("tap_before_commit")
    reached("tap_after_commit")
    return counts


def _append(timeline: int, envelopes: Sequence[Envelope], *, picky: bool) -> Stored:
    job = Job(timeline, envelopes, lambda _: None)
    if picky:
        return writing.write_what_can_be(timeline, job)
    return writing.write(timeline, [job])[0]


def _observe(
    tap: Tap,
    batch: Batch,
    decoded: Decoded,
    stored: Stored,
    form: Form,
    places: Places | None,
) -> int:
    """Store what the bus showed of subscribers and of itself; return how many deliveries."""
    told = []
    if places is not None and decoded.records:
        pairs = zip(decoded.records, stored.positions, strict=True)
        told += places.note([(record, at) for record, at in pairs if at is not None])
    if places is not None and batch.deliveries:
        told += places.place(batch.deliveries, lambda d: _clean(d, form))
    if places is not None:
        for progress in batch.progress:
            told += places.passed(progress)
    deliveries = len(told)
    told += [observed.progress(p, tap=form.tap) for p in batch.progress]
    told += [observed.gap(g, tap=form.tap) for g in batch.gaps]
    if form.redactor:
        told = [_without(t, form) for t in told]
    if told:
        writing.write(tap.timeline, [Job(tap.timeline, told, lambda _: None)])
    return deliveries


def _clean(delivery: Delivery, form: Form) -> Delivery:
    if not form.redactor:
        return delivery
    text = form.redactor.text
    return msgspec.structs.replace(
        delivery, error=text(delivery.error), facts=form.redactor.facts(delivery.facts),
        subscriber=text(delivery.subscriber), channel=text(delivery.channel),
        partition=form.redactor.place(delivery.partition), event_id=text(delivery.event_id),
        event_source=text(delivery.event_source),
    )  # fmt: skip


def _without(told: Envelope, form: Form) -> Envelope:
    """Return what was observed without what is to be redacted, as its event is without it."""
    text = form.redactor.text
    return msgspec.structs.replace(
        told, source=text(told.source), channel=text(told.channel),
        partition=form.redactor.place(told.partition), offset=form.redactor.place(told.offset),
        causation=text(told.causation),
        causation_source=text(told.causation_source),
        data=text((told.data or b"").decode()).encode(),
    )  # fmt: skip


def _keep(tap: Tap, rejects: Sequence[tuple[Record, Rejected]], form: Form) -> None:
    now = time.time_ns() // 1000
    Reject.objects.bulk_create(
        Reject(
            timeline=tap.timeline, tap=tap.pk, received_at=now, origin=r.origin, line=0,
            code=r.code, detail=r.detail, content_type=r.content_type, size=r.size,
            data=r.data[:REJECT_MAX], record=pack(record, form),
        )
        for record, r in rejects
    )  # fmt: skip


def pack(record: Record, form: Form) -> bytes:
    """Return a record without its body, redacted, as it is kept beside a reject."""
    clean = form.redactor.record(record) if form.redactor else record
    return msgspec.msgpack.encode(msgspec.structs.replace(clean, body=None))


def _move(tap: Tap, batch: Batch, counts: Counter[str], form: Form) -> None:
    """Count, and move the cursor, if the tap is still ours."""
    fields: dict[str, object] = {name: F(name) + n for name, n in counts.items() if n}
    if batch.cursor is not None:
        fields["cursor"] = taps.kept_cursor(batch.cursor, form.redactor)
    if batch.records:
        fields["last_at"] = time.time_ns() // 1000
    held = Tap.objects.filter(pk=tap.pk, fence=tap.fence)
    if not (held.update(**fields) if fields else held.exists()):
        raise LeaseLost
