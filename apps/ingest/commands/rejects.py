"""Trying again what could not become an event, and throwing it away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from django.db import transaction
from django.db.models import F

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.eventlog.places import Line
from apps.ingest import records, redact
from apps.ingest.commands import taps
from apps.ingest.connector import BadSettings, Record
from apps.ingest.jobs import Job
from apps.ingest.models import Reject, Tap
from apps.ingest.writer import batch as writing

AT_ONCE = 1000


def retry(
    line: Line, ids: Sequence[int] | None = None, *, codec: str = "", by: Actor
) -> Counter[str]:
    """Read rejects of taps again as their taps read now; those that are events now are stored.

    ids     which; None for the oldest thousand
    codec   another codec for this once
    returns counts of `tried`, `stored`, `duplicates` and `left`
    raises  BadSettings
    """
    found = Reject.objects.filter(timeline=line.timeline, tap__isnull=False).order_by("pk")
    if ids is not None:
        found = found.filter(pk__in=list(ids)[:AT_ONCE])
    counts: Counter[str] = Counter(tried=0, stored=0, duplicates=0, left=0)
    by_tap: dict[int, list[Reject]] = {}
    for reject in found[:AT_ONCE]:
        by_tap.setdefault(int(reject.tap or 0), []).append(reject)
    for tap in Tap.objects.filter(pk__in=by_tap):
        counts += _retry(tap, by_tap[tap.pk], codec)
    note(by, "reject.retry", f"{counts['tried']} records", system_id=line.system)
    return counts


def _retry(tap: Tap, rejects: Sequence[Reject], codec: str) -> Counter[str]:
    form = taps.form(tap.system, tap.name, taps.settings_of(tap))
    if codec:
        form = replace(form, codec=codec)
    good, envelopes, left = [], [], 0
    for reject in rejects:
        record = record_of(reject)
        taken = records.take(record, form) if record else None
        if taken is None or taken.envelope is None:
            left += 1
            continue
        good.append(reject)
        envelopes.append(taken.envelope)
    counts = Counter(tried=len(rejects), left=left)
    if good:
        with transaction.atomic():
            job = Job(tap.timeline, envelopes, lambda _: None)
            stored = writing.write(tap.timeline, [job])[0]
            Reject.objects.filter(pk__in=[r.pk for r in good]).delete()
            Tap.objects.filter(pk=tap.pk).update(
                rejected=F("rejected") - len(good), stored=F("stored") + stored.stored,
                duplicates=F("duplicates") + stored.duplicates,
            )  # fmt: skip
        counts.update(stored=stored.stored, duplicates=stored.duplicates)
    return counts


def record_of(reject: Reject) -> Record | None:
    """Return the record a reject was, None where not all of it was kept."""
    data = bytes(reject.data)
    if reject.record is None or len(data) != reject.size or data == redact.WITHHELD:
        return None
    kept = msgspec.msgpack.decode(bytes(reject.record), type=Record)
    return msgspec.structs.replace(kept, body=data)


def discard(line: Line, ids: Sequence[int] | None = None, *, by: Actor) -> int:
    """Throw rejects away, None for all; return how many there were."""
    found = Reject.objects.filter(timeline=line.timeline)
    if ids is not None:
        found = found.filter(pk__in=list(ids)[:AT_ONCE])
    with transaction.atomic():
        count, _ = found.delete()
        note(by, "reject.discard", f"{count} records", system_id=line.system)
    return count


def one(line: Line, number: int) -> Reject:
    """Return a reject of a system.  raises  BadSettings where there is none"""
    found = Reject.objects.filter(timeline=line.timeline, pk=number).first()
    if found is None:
        raise BadSettings("This record is not in quarantine any more.")
    return found
