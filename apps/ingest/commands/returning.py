"""What copies of services publish for runs of sandboxes: kept aside until the run takes it.

It never comes near the log of the system: a mark nobody waits for is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from django.db import transaction
from django.utils import timezone

from apps.eventlog.envelope import Envelope
from apps.ingest.marks import Mark
from apps.ingest.models import Awaited, Returned
from apps.ingest.problems import Refused

EVENTS, BYTES = 10_000, 16 * 1024 * 1024  # for one event that was handed out
LEFT = timedelta(days=1)  # after which a run that never said it had ended has
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


def expect(token: str, timeline: int) -> None:
    """Wait for what is published with the marks of a token by whoever may write to a timeline."""
    Awaited.objects.filter(since__lt=timezone.now() - LEFT).delete()
    Awaited.objects.create(token=token, timeline=timeline)


def put(timeline: int, mark: Mark, envelopes: Sequence[Envelope]) -> int:
    """Keep what was published with a mark and return how much of it is new.

    raises  Refused (404, 413); then nothing of it is kept
    """
    with transaction.atomic():
        run = Awaited.objects.select_for_update().filter(token=mark.token, timeline=timeline)
        awaited = run.first()
        if awaited is None:
            raise Refused(404, "no_such_run", "no run of a sandbox waits for this mark any more")
        kept = list(awaited.returned.filter(number=mark.number).values_list("event_id", "size"))
        known = {event_id for event_id, _ in kept}
        new = {e.id: e for e in envelopes if e.id not in known}
        sizes = {e.id: len(e.data) + len(e.metadata) + 256 for e in new.values()}
        if len(kept) + len(new) > EVENTS or sum(s for _, s in kept) + sum(sizes.values()) > BYTES:
            raise Refused(
                413, "too_much_returned", f"for one event a copy may publish {EVENTS} events of"
                f" {BYTES} bytes in all",
            )  # fmt: skip
        Returned.objects.bulk_create(
            Returned(run=awaited, number=mark.number, event_id=e.id, size=sizes[e.id],
                     envelope=_encode(e))
            for e in new.values()
        )  # fmt: skip
    return len(new)


def returned(token: str, number: int) -> list[Envelope]:
    """Return what was published with a mark so far, in the order it came."""
    rows = Returned.objects.filter(run__token=token, number=number).order_by("pk")
    return [_decode(bytes(raw)) for raw in rows.values_list("envelope", flat=True)]


def count(token: str, number: int) -> int:
    """Return how many events came with a mark so far."""
    return Returned.objects.filter(run__token=token, number=number).count()


def end(token: str) -> None:
    """Wait no longer, and forget what came. May be called twice."""
    Awaited.objects.filter(token=token).delete()
