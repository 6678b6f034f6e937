"""One commit: the events of many jobs appended to a timeline, and the rejects among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from django.db import DatabaseError, DataError, IntegrityError, connection, transaction

from apps.eventlog.commands.append import Appended, append
from apps.eventlog.envelope import Envelope
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.queries import log
from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job, Rejected, Stored
from apps.ingest.models import Reject
from apps.ingest.problems import Problem

LOCK_MS = 30_000  # SQLite's own patience is set with its connection
_told = threading.local()


def write(timeline: int, jobs: Sequence[Job]) -> list[Stored]:
    """Store all events and rejects of `jobs` in one transaction; return what became of each job.

    raises  what `append` raises, and django.db errors; then nothing is stored
    """
    _impatient()
    with transaction.atomic():
        envelopes = [e for job in jobs for e in job.envelopes]
        by_position = any(e.cause is not None for e in envelopes)
        if by_position:
            sound, problems = _with_known_causes(timeline, jobs)
            envelopes = [e for pairs in sound for _, e in pairs]
        appended = append(timeline, envelopes, savepoint=False)
        reached("mid_batch")
        keep(timeline, [r for job in jobs for r in job.rejects])
        reached("before_commit")
    reached("after_commit")
    if not by_position and appended.stored == len(envelopes) and not appended.conflicts:
        return _all_new(jobs, appended)
    if not by_position:
        sound, problems = [list(enumerate(job.envelopes)) for job in jobs], [[] for _ in jobs]
    return list(_shares(jobs, sound, problems, appended))


def write_what_can_be(timeline: int, job: Job) -> Stored:
    """Store the events of one job without those the database refuses, which become problems.

    raises  LogUnavailable and django.db errors that are no fault of the events
    """
    bad = _refused(timeline, job.envelopes, range(len(job.envelopes)))
    good = [index for index in range(len(job.envelopes)) if index not in bad]
    kept = Job(job.timeline, [job.envelopes[i] for i in good], job.done, job.rejects)
    stored = write(timeline, [kept])[0]
    positions: list[int | None] = [None] * len(job.envelopes)
    for index, position in zip(good, stored.positions, strict=True):
        positions[index] = position
    detail = "the database refuses this event; the log of evdebug says why"
    problems = [Problem(index, "not_storable", detail) for index in sorted(bad)]
    moved = [Problem(good[p.index], p.code, p.detail) for p in stored.problems]
    conflicts = {good[i]: earlier for i, earlier in stored.conflicts.items()}
    return Stored(
        stored.head, positions, stored.stored, stored.duplicates, conflicts, problems + moved
    )


def keep(timeline: int, rejects: Sequence[Rejected]) -> None:
    """Keep what could not become an event. Call it in the transaction of what could."""
    if not rejects:
        return
    now = time.time_ns() // 1000
    Reject.objects.bulk_create(
        Reject(
            timeline=timeline, received_at=now, origin=r.origin, line=r.line, code=r.code,
            detail=r.detail, content_type=r.content_type, size=r.size, data=r.data,
        )
        for r in rejects
    )  # fmt: skip


def _refused(timeline: int, envelopes: Sequence[Envelope], among: Sequence[int]) -> set[int]:
    """Return the indexes the database will not take, by trying halves and rolling back."""
    try:
        with transaction.atomic():
            append(timeline, [envelopes[i] for i in among])
            transaction.set_rollback(True)
    except LogUnavailable:
        raise
    except DatabaseError as error:
        if not isinstance(error, DataError | IntegrityError):
            raise
    except Exception:  # noqa: S110 - which event it is, is what we are after
        pass
    else:
        return set()
    if len(among) == 1:
        return set(among)
    half = len(among) // 2
    left = _refused(timeline, envelopes, among[:half])
    return left | _refused(timeline, envelopes, among[half:])


def _impatient() -> None:
    """Have PostgreSQL give up on another writer's lock as SQLite does; told once a connection."""
    if connection.vendor != "postgresql":
        return
    connection.ensure_connection()
    if getattr(_told, "connection", None) is connection.connection:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_MS}")
    if not connection.in_atomic_block:  # else it ends with that
        _told.connection = connection.connection


def _with_known_causes(
    timeline: int, jobs: Sequence[Job]
) -> tuple[list[list[tuple[int, Envelope]]], list[list[Problem]]]:
    """Return each job's (index, envelope) pairs, without those whose cause is a position to come.

    Only who reports by position can get that wrong; a cause named by id may arrive later.
    """
    head = None
    sound, problems = [], []
    for job in jobs:
        pairs, wrong = list(enumerate(job.envelopes)), []
        if any(e.cause is not None for e in job.envelopes):
            head = log.line_of(timeline).head if head is None else head
            ahead = {i for i, e in pairs if e.cause is not None and e.cause > head}
            wrong = [
                Problem(i, "unknown_position", f"position {job.envelopes[i].cause} is beyond the "
                        f"head #{head}")
                for i in sorted(ahead)
            ]  # fmt: skip
            pairs = [(i, e) for i, e in pairs if i not in ahead]
        sound.append(pairs)
        problems.append(wrong)
    return sound, problems


def _all_new(jobs: Sequence[Job], appended: Appended) -> list[Stored]:
    """Split the outcome of an append that found nothing but new events."""
    shares, at, head = [], 0, appended.head
    for job in jobs:
        count = len(job.envelopes)
        positions: list[int | None] = [*appended.positions[at : at + count]]
        shares.append(Stored(head, positions, count, 0, {}, []))
        at += count
    return shares


def _shares(
    jobs: Sequence[Job],
    sound: Sequence[Sequence[tuple[int, Envelope]]],
    problems: Sequence[list[Problem]],
    appended: Appended,
) -> Iterator[Stored]:
    """Split the outcome of one append between its jobs.

    New positions rise by one from the old head; whatever does not is a duplicate.
    """
    at, following = 0, appended.head - appended.stored + 1
    for job, pairs, wrong in zip(jobs, sound, problems, strict=True):
        positions: list[int | None] = [None] * len(job.envelopes)
        conflicts, stored = {}, 0
        for index, _ in pairs:
            position = positions[index] = appended.positions[at]
            if position == following:
                following, stored = following + 1, stored + 1
            if at in appended.conflicts:
                conflicts[index] = appended.conflicts[at]
            at += 1
        yield Stored(appended.head, positions, stored, len(pairs) - stored, conflicts, wrong)
