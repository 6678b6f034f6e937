"""Doing a run: claimed by one worker, written in checkpoints, gone on with by another if it dies.

The lease says who works on a run, the fence that nobody else writes for it. What handlers did is
kept with each checkpoint, in the transaction that writes the entries: a worker that takes over
replays the journal without running them and goes on after it. What a copy outside did is kept at
once, as nothing takes it back: only the event that was on its way when a worker died, or the copy
failed to answer, is sent again. How often that was is kept with the run.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.eventlog.commands.append import append
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.sandbox import links
from apps.sandbox.commands import dry, folding, settle, shrink
from apps.sandbox.commands.prepare import Prepared, prepare
from apps.sandbox.commands.selfcheck import self_check
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.models import OVER, REPLAYS, Chunk, Run
from apps.sandbox.nuls import without
from apps.sandbox.outcome import Outcome
from apps.sandbox.pace import Pace
from apps.sandbox.queries import targets

logger = logging.getLogger(__name__)

LEASE_S = 30
BATCH = 1000  # entries of a checkpoint at most
EVERY_S = 0.5  # seconds of work between two checkpoints
LEVEL = 1  # of zlib
LOOKS: dict[str, Any] = {"dry": dry, "folds": folding, "shrink": shrink}


class Lost(Exception):
    """Another worker has the run now: leave it alone."""


def claim(run: int | None = None) -> Run | None:
    """Take a run nobody works on and return it, the oldest without one named; None for none."""
    now = timezone.now()
    free = Q(status="queued") | Q(status="running", lease__lt=now)
    found = Run.objects.filter(free, fork__discarded=False).order_by("pk")
    if run is not None:
        found = found.filter(pk=run)
    lease = now + timedelta(seconds=LEASE_S)
    for number, status, check, code in found.values_list("pk", "status", "check_of", "code")[:20]:
        lost = int(status == "running" and check in REPLAYS and bool(targets.of(code)))
        taken = Run.objects.filter(free, pk=number, status=status).update(
            status="running", fence=F("fence") + 1, lease=lease, repeats=F("repeats") + lost
        )
        if taken:
            Run.objects.filter(pk=number, started_at=None).update(started_at=now)
            return Run.objects.select_related("fork").get(pk=number)
    return None


def work(run: Run) -> Run:
    """Do a run that was claimed to its end, or to where it stops; errors are in the run."""
    try:
        _work(run)
    except Lost:
        logger.info("Run %s went to another worker.", run)
    except EventLogError as error:
        _end(run, "failed", str(error))
    except Exception as error:
        logger.exception("Run %s failed.", run)
        _end(run, "failed", f"evdebug failed: {type(error).__name__}. Its log says why.")
    return Run.objects.select_related("fork").get(pk=run.pk)


def _work(run: Run) -> None:
    if run.check_of not in REPLAYS:
        _look(run)
        return
    line = log.line_of(run.timeline)
    with prepare(run, journal(run), beat=lambda: renew(run)) as prepared:
        try:
            prepared.self_check = self_check(prepared, beat=lambda: _asked(run))
        except _Paused as paused:
            _end(run, paused.status, "")
            return
        engine = prepared.engine
        writer = _Writer(run, line, prepared)
        engine.noted = writer.note
        pace = Pace(run.options)
        try:
            for emission in engine.run():
                if writer.skipped(emission):
                    continue
                writer.add(emission)
                if writer.due() or pace.waits(emission.envelope.time):
                    writer.write()
                    _heed(run, pace, emission.envelope.time)
                if prepared.stops(emission):
                    writer.write(reached=F("reached") + 1)
                    at = engine.head
                    _end(run, "stopped", f"{prepared.expression} holds after #{at}.")
                    return
                if run.steps and writer.since >= run.steps:
                    writer.write()
                    _end(run, "paused", "")
                    return
        except Stopped as stopped:
            writer.write()
            if stopped.again and stopped.wanted is None:  # a copy outside did not answer
                writer.doubt()
            _end(run, "stopped" if stopped.again else "failed", stopped.text, stopped.wanted)
            return
        except _Paused as paused:
            _end(run, paused.status, "")
            return
        writer.write()
        settle.settle(run, prepared)
        _end(run, "finished", "")


def _look(run: Run) -> None:
    """Do a check that makes no entries: what it did is not kept, so it begins anew."""

    def beat(done: int) -> None:
        _asked(run)
        Run.objects.filter(pk=run.pk, fence=run.fence, status="running").update(done=done)

    try:
        LOOKS[run.check_of].settle(run, beat)
    except _Paused as paused:
        _end(run, paused.status, "")
        return
    _end(run, "finished", "")


def journal(run: Run) -> list[Outcome]:
    """Return what handlers did up to the last checkpoint, in order."""
    found: list[Outcome] = []
    for raw in run.chunks.order_by("number").values_list("outcomes", flat=True):
        found += msgspec.json.decode(zlib.decompress(bytes(raw)), type=list[Outcome])
    return found


class _Paused(Exception):
    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def renew(run: Run) -> str:
    """Keep the lease, and return what is wanted. raises  Lost"""
    lease = timezone.now() + timedelta(seconds=LEASE_S)
    mine = Run.objects.filter(pk=run.pk, fence=run.fence, status="running")
    if not mine.update(lease=lease):
        raise Lost
    wanted: str = mine.values_list("want", flat=True)[0]
    return wanted


def _heed(run: Run, pace: Pace, time_us: int | None) -> None:
    """Do what a person wants of the run, and wait where it goes at a pace."""
    while True:
        _asked(run)
        left = pace.left(time_us)
        if left <= 0:
            return
        time.sleep(min(left, 0.5))


def _asked(run: Run) -> None:
    """Keep the lease, unless a person wants the run to rest or end."""
    want = renew(run)
    if want == "cancel":
        raise _Paused("cancelled")
    if want == "pause":
        raise _Paused("paused")


def _end(run: Run, status: str, error: str, wanted: dict[str, Any] | None = None) -> None:
    now = timezone.now()
    Run.objects.filter(pk=run.pk, fence=run.fence, status="running").update(
        status=status, error=without(error)[:4000], wanted=without(wanted), lease=None, steps=0,
        finished_at=now if status in OVER else None,
    )  # fmt: skip


class _Writer:
    """Writes what a run makes in checkpoints. What was written before is passed over."""

    def __init__(self, run: Run, line: Line, prepared: Prepared) -> None:
        self.run, self.line, self.prepared = run, line, prepared
        self.since = 0
        self._number = run.chunks.count()
        self._kept = len(prepared.engine.journal)
        self._skip = line.head - line.base
        self._held: list[Emission] = []
        self._began = time.monotonic()
        self._now = prepared.recorded_at
        self._outside = targets.of(run.code)

    def skipped(self, emission: Emission) -> bool:
        """Return whether an entry was written by an earlier worker."""
        if self._skip <= 0:
            return False
        self._skip -= 1
        return True

    def add(self, emission: Emission) -> None:
        self._held.append(emission)
        self.since += 1

    def due(self) -> bool:
        """Return whether it is time for a checkpoint."""
        return len(self._held) >= BATCH or time.monotonic() - self._began > EVERY_S

    def note(self, service: str) -> None:
        """Keep at once what a copy outside did, without the entries it led to. raises  Lost"""
        if service in self._outside:
            with transaction.atomic():
                self._hold()
                self._chunk([])

    def write(self, **values: Any) -> None:
        """Write what is held in one transaction, with what else is known. raises  Lost, Stopped"""
        held = self._held
        took = round((time.monotonic() - self._began) * 1000)
        with transaction.atomic():
            done = min(self.run.total, self._progress())
            self._hold(done=done, ran_ms=F("ran_ms") + took, **values)
            if held:
                self._append(held)
            self._chunk(held)
        self._held = []
        self._began = time.monotonic()

    def doubt(self) -> None:
        """Keep that the event on its way will be sent again. raises  Lost"""
        self._hold(repeats=F("repeats") + 1)

    def _hold(self, **values: Any) -> None:
        """Keep the lease, with what else is to be known of the run. raises  Lost"""
        mine = Run.objects.filter(pk=self.run.pk, fence=self.run.fence, status="running")
        if not mine.update(lease=timezone.now() + timedelta(seconds=LEASE_S), **values):
            raise Lost

    def _chunk(self, held: list[Emission]) -> None:
        journal = self.prepared.engine.journal
        outcomes = journal[self._kept :]
        if held or outcomes:
            Chunk.objects.create(
                run=self.run, number=self._number,
                outcomes=zlib.compress(msgspec.json.encode(outcomes), LEVEL),
                links=zlib.compress(links.packed(map(_link, held)), LEVEL),
            )  # fmt: skip
            self._number += 1
        self._kept = len(journal)

    def _append(self, held: list[Emission]) -> None:
        wrote = append(self.run.timeline, [e.envelope for e in held], now=self._now)
        if wrote.stored != len(held):
            raise Stopped("An inserted event has the id of another one. Give it another id.")

    def _progress(self) -> int:
        """Return how many recorded entries the run is past."""
        engine = self.prepared.engine
        return len(engine.gone) + engine.replayed


def _link(emission: Emission) -> links.Link:
    return links.Link(
        emission.ref if emission.ref > 0 else None, emission.descends, emission.differs,
        emission.orphan,
    )  # fmt: skip


def waiting() -> Iterator[Run]:
    """Yield one run after the other that nobody works on, claimed."""
    while (run := claim()) is not None:
        yield run
