"""The one writer of a process: a thread that puts many requests into each commit.

Whoever hands in a job is told once, after the commit. One commit holds everything that waits, so
a durable commit (an fsync) is shared by all, and the busier it gets the cheaper an event is.

What one job breaks is its own trouble: a batch that the database refuses is halved until the job,
and in it the event, is found. What the database itself breaks, a full disk, a lock that is not
let go, a lost connection, is answered at once and to all; then a small write is tried every
second, and the first that succeeds opens the door again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Sequence

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from apps.access.commands.heartbeat import beat
from apps.eventlog.errors import LogUnavailable, UnknownTimeline
from apps.ingest import figures
from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job, Stored
from apps.ingest.problems import Refused
from apps.ingest.writer import batch
from apps.ingest.writer.waiting import Waiting, stopping, unavailable

logger = logging.getLogger(__name__)

Outcome = Stored | Exception
Lost = (LogUnavailable, DatabaseError, InterfaceError)
UNKNOWN = Refused(500, "not_stored", "the events could not be stored; the log of evdebug says why")


class Writer:
    """The thread and what waits for it."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.waiting = Waiting(max_events=max_events, max_bytes=max_bytes)
        self.counts: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(self, job: Job, *, patient: bool = False) -> bool:
        """Queue a job; `job.done` will be called once.

        patient   return False where there is no room now, instead of raising
        raises    Refused: 429 when the queue is full, 503 when the log cannot be written now
        """
        self._start()
        return self.waiting.put(job, patient=patient)

    def proof(self) -> str:
        """Return "" if the log can be written, as far as the last seconds show, else why not."""
        self._start()
        return self.waiting.proof()

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds, and end. May be called twice."""
        self.waiting.close()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        self._fail(self.waiting.drain(), stopping())

    def _start(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self.waiting.closed:
                    self._thread = threading.Thread(
                        target=self._run, name="ingest-writer", daemon=True
                    )
                    self._thread.start()

    def _run(self) -> None:
        try:
            while (jobs := self.waiting.take()) is not None:
                if jobs:
                    self._guarded(jobs)
                else:
                    self._probe()
        finally:
            connection.close()

    def _guarded(self, jobs: Sequence[Job]) -> None:
        """Store jobs; whatever happens, the thread lives and each of them is answered."""
        try:
            self._store(jobs)
        except Exception:
            logger.exception("The writer failed")
            connection.close()
            self._fail([job for job in jobs if not job.answered], UNKNOWN)

    def _store(self, jobs: Sequence[Job]) -> None:
        """Write jobs, one commit per timeline, and answer them."""
        timelines: dict[int, list[Job]] = {}
        for job in jobs:
            timelines.setdefault(job.timeline, []).append(job)
        for timeline, group in timelines.items():
            if self.waiting.trouble:
                self._fail(group, unavailable(self.waiting.trouble))
            else:
                self._commit(timeline, group)

    def _commit(self, timeline: int, jobs: Sequence[Job]) -> None:
        try:
            with figures.APPEND.time():
                outcomes = self._write(timeline, jobs)
        except (DataError, IntegrityError) as error:
            self._halve(timeline, jobs, error)
        except Lost as error:
            self._lose(jobs, error)
        except UnknownTimeline:
            gone = Refused(403, "unknown_system", "the key's system is gone; use another key")
            self._fail(jobs, gone)
        except Exception as error:  # a bug of ours: it must cost nobody else's events
            self._halve(timeline, jobs, error)
        else:
            self._stored(jobs, outcomes)

    def _write(self, timeline: int, jobs: Sequence[Job]) -> list[Stored]:
        reached("before_begin")
        held = connection.connection
        try:
            return batch.write(timeline, jobs)
        except (DataError, IntegrityError):
            raise
        except Lost:
            # A connection that died while idle, or with its server, says so only when it is used.
            # Writing again is safe: what was committed after all is found to be there already.
            # Django may have made a new one by now.
            same = connection.connection is held
            if connection.vendor == "sqlite" or held is None or (same and connection.is_usable()):
                raise
            connection.close()
            return batch.write(timeline, jobs)

    def _stored(self, jobs: Sequence[Job], outcomes: Sequence[Stored]) -> None:
        self.waiting.proved()
        self.counts["commits"] += 1
        for outcome in outcomes:
            self.counts["stored"] += outcome.stored
            self.counts["duplicates"] += outcome.duplicates
        self._answer(list(zip(jobs, outcomes, strict=True)))

    def _halve(self, timeline: int, jobs: Sequence[Job], error: Exception) -> None:
        """Find out which job it was, so that the others are stored."""
        if len(jobs) > 1:
            half = len(jobs) // 2
            self._store(jobs[:half])
            self._store(jobs[half:])
            return
        logger.error("The database refused events that looked storable", exc_info=error)
        try:
            outcome = batch.write_what_can_be(timeline, jobs[0])
        except (DataError, IntegrityError):
            self._fail(jobs, UNKNOWN)
        except Lost as worse:
            self._lose(jobs, worse)
        else:
            self._stored(jobs, [outcome])

    def _lose(self, jobs: Sequence[Job], error: Exception) -> None:
        """Answer everybody that the log cannot be written, and begin to probe."""
        connection.close()
        logger.error("The log cannot be written: %s", error)
        self.waiting.proved(trouble := _why(error))
        self._fail([*jobs, *self.waiting.drain()], unavailable(trouble))

    def _probe(self) -> None:
        """See whether a small write goes through."""
        try:
            beat("ingest")
        except Lost as error:
            connection.close()
            self.waiting.proved(_why(error))
        else:
            if self.waiting.trouble:
                logger.warning("The log can be written again")
            self.waiting.proved()

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        self._answer([(job, error) for job in jobs])

    def _answer(self, answers: Sequence[tuple[Job, Outcome]]) -> None:
        """Tell the jobs what became of them; those of one event loop in one go."""
        reached("before_answer")
        self.waiting.release([job for job, _ in answers])
        loops: dict[asyncio.AbstractEventLoop | None, list[tuple[Job, Outcome]]] = {}
        for job, outcome in answers:
            job.answered = True
            loops.setdefault(job.loop, []).append((job, outcome))
        for loop, theirs in loops.items():
            if loop is None:
                _tell(theirs)
                continue
            try:
                loop.call_soon_threadsafe(_tell, theirs)
            except RuntimeError:  # the loop is closed: nobody is left to be told
                logger.warning("%s answers came after the end", len(theirs))


def _tell(answers: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in answers:
        job.done(outcome)


def _why(error: Exception) -> str:
    """Return what clients may know: the text could name the server, its user and its files."""
    return f"the log cannot be written now ({type(error).__name__})"


_current: Writer | None = None
_guard = threading.Lock()


def current() -> Writer:
    """Return this process's writer."""
    global _current
    if _current is not None:
        return _current
    with _guard:
        if _current is None:
            _current = Writer(max_events=settings.QUEUE_EVENTS, max_bytes=settings.QUEUE_BYTES)
        return _current


def check() -> None:
    """Raise Refused (503) when nothing new can be taken now."""
    current().waiting.check()


def closing() -> None:
    """Turn new requests away from now on."""
    current().waiting.closing = True


def close(timeout: float) -> None:
    """Write what is queued and end the writer."""
    current().close(timeout)
