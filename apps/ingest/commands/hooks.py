"""A webhook into the log: checked, read as its tap says, and stored before it is answered."""

from __future__ import annotations

import time
from collections.abc import Mapping

from apps.eventlog.errors import UnknownSystem
from apps.eventlog.queries import log
from apps.ingest.answers import Report
from apps.ingest.commands import intake, taps
from apps.ingest.connector import BadSettings, Batch, Unreachable
from apps.ingest.connectors.webhook import Webhook
from apps.ingest.models import Tap
from apps.ingest.problems import Problem, Refused
from apps.ingest.signatures import BadSignature

SAID_EVERY = 10_000_000  # µs; bad signatures in between are not written down one by one
UNKNOWN = Refused(404, "not_found", "there is no webhook here")


def take(slug: str, name: str, headers: Mapping[str, str], body: bytes) -> Report:
    """Store the request to a webhook and report on it.

    raises  Refused: 401 for a signature, 404 for an address nobody listens at, 503; django.db
            errors
    """
    tap = _tap(slug, name)
    try:
        settings = taps.settings_of(tap)
        made = taps.connector(tap, settings)
        form = taps.form(tap.system, tap.name, settings)
    except BadSettings:
        raise UNKNOWN from None
    assert isinstance(made, Webhook)
    try:
        record = made.record(headers, body)
    except BadSignature as error:
        _say(tap, f"A request was refused: {error}.")
        raise Refused(401, "bad_signature", str(error)) from None
    batch = Batch([record])
    try:
        decoded = intake.decode(batch, form)
    except Unreachable as error:
        raise Refused(503, "unavailable", str(error), retry_after=5) from None
    counts = intake.store(tap, batch, decoded, form, None)
    Tap.objects.filter(pk=tap.pk).exclude(state="receiving").update(state="receiving", said="")
    problems = [Problem(0, r.code, r.detail) for _, r in decoded.rejects]
    return Report(
        received=1, stored=counts["stored"], duplicates=counts["duplicates"],
        rejected=counts["rejected"], head=log.line_of(tap.timeline).head,
        positions=None, problems=problems,
    )  # fmt: skip


def _tap(slug: str, name: str) -> Tap:
    try:
        line = log.line(slug)
    except UnknownSystem:
        raise UNKNOWN from None
    found = Tap.objects.filter(system=line.system, name=name, bus=Webhook.bus, wanted=True).first()
    if found is None:
        raise UNKNOWN
    return found


def _say(tap: Tap, words: str) -> None:
    """Write down what is wrong, once in a while: anybody can send nonsense."""
    now = time.time_ns() // 1000
    if tap.state == "failing" and now - (tap.said_at or 0) < SAID_EVERY:
        return
    Tap.objects.filter(pk=tap.pk).update(state="failing", said=words, said_at=now)
