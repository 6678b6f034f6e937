"""The one writer of a process: a bounded queue, a thread, and many requests in each commit.

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
import time
from collections import Counter, deque
from collections.abc import Sequence

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from apps.access.commands.heartbeat import beat
from apps.eventlog.errors import LogUnavailable, UnknownTimeline
from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job, Stored
from apps.ingest.problems import Refused
from apps.ingest.writer import batch

logger = logging.getLogger(__name__)

BATCH = 5000  # events in one commit
GATHER_S = 0.002
PROBE_S = 1.0
PATIENCE_S = 3.0  # for a proof that the log can be written
FRESH_S = 5.0  # how long such a proof counts
RETRY_S = 5  # what clients are told

Outcome = Stored | Exception


class Writer:
    """The queue and the thread. All methods may be called from any thread."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.max_events, self.max_bytes = max_events, max_bytes
        self.events = self.bytes = 0  # waiting or being written
        self.counts: Counter[str] = Counter()
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._trouble = ""
        self._proven = -FRESH_S  # when a write last succeeded
        self._crowd = 0  # jobs worth waiting for: half of what was there last time
        self._probe_wanted = self._closing = self._closed = False

    def submit(self, job: Job, *, patient: bool = False) -> bool:
        """Queue a job; `job.done` will be called once.

        patient   return False where there is no room now, instead of raising
        raises    Refused: 429 when the queue is full, 503 when the log cannot be written now
        """
        with self._changed:
            self._check()
            full = self._queue and (
                self.events + job.events > self.max_events or self.bytes + job.size > self.max_bytes
            )
            if full and patient:
                return False
            if full:
                raise Refused(
                    429, "queue_full", "too much is waiting to be written; retry", retry_after=1
                )
            self._queue.append(job)
            self.events += job.events
            self.bytes += job.size
            self._start()
            self._changed.notify_all()
        reached("queued")
        return True

    def _check(self) -> None:
        if self._closed:
            raise Refused(503, "stopping", "evdebug is stopping; retry", retry_after=RETRY_S)
        if self._trouble:
            raise unavailable(self._trouble)

    def check(self) -> None:
        """Raise Refused (503) when nothing new can be taken now."""
        if self._closing:
            raise Refused(503, "stopping", "evdebug is stopping; retry", retry_after=RETRY_S)
        self._check()

    def proven(self) -> str:
        """Return "" once a write has succeeded within the last seconds, else why none did."""
        with self._changed:
            if self._closing:
                return "evdebug is stopping"
            if not self._trouble and time.monotonic() - self._proven > FRESH_S:
                self._probe_wanted = True
                self._start()
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._probe_wanted, PATIENCE_S)
                if self._probe_wanted:
                    return f"the log confirmed no write within {PATIENCE_S:.0f} s"
            return self._trouble

    def _start(self) -> None:
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)
        self._thread.start()

    def stop_taking(self) -> None:
        """Turn new requests away; those already begun may still hand in their jobs."""
        self._closing = True

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds, and end. May be called twice."""
        with self._changed:
            self._closing = self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        self._fail(self._drain(), Refused(503, "stopping", "evdebug is stopping; retry",
                                          retry_after=RETRY_S))  # fmt: skip

    def _run(self) -> None:
        try:
            while (jobs := self._next()) is not None:
                if jobs:
                    self._store(jobs)
                else:
                    self._probe()
        finally:
            connection.close()

    def _next(self) -> list[Job] | None:
        """Wait for jobs and return those of the next commit; [] to probe, None to end."""
        with self._changed:
            while not (self._queue or self._probe_wanted or self._closed):
                if self._trouble:
                    self._changed.wait(PROBE_S)
                    return None if self._closed and not self._queue else []
                self._changed.wait()
            if not self._queue:
                return None if self._closed else []
            if len(self._queue) >= self._crowd or self._closed:
                return self._take()
        # Many write at once, and those just answered are about to write again: a moment's wait
        # for them costs less than the commit they would otherwise wait for.
        time.sleep(GATHER_S)
        with self._changed:
            return self._take()

    def _take(self) -> list[Job]:
        self._crowd = len(self._queue) // 2
        jobs = [self._queue.popleft()]
        events = jobs[0].events
        while self._queue and events + self._queue[0].events <= BATCH:
            jobs.append(self._queue.popleft())
            events += jobs[-1].events
        return jobs

    def _drain(self) -> list[Job]:
        with self._changed:
            jobs = list(self._queue)
            self._queue.clear()
            return jobs

    def _store(self, jobs: Sequence[Job]) -> None:
        """Write jobs, one commit per timeline, and answer them."""
        timelines: dict[int, list[Job]] = {}
        for job in jobs:
            timelines.setdefault(job.timeline, []).append(job)
        for timeline, group in timelines.items():
            if self._trouble:
                self._fail(group, unavailable(self._trouble))
            else:
                self._commit(timeline, group)

    def _commit(self, timeline: int, jobs: Sequence[Job]) -> None:
        try:
            outcomes: Sequence[Outcome] = self._write(timeline, jobs)
        except (DataError, IntegrityError) as error:
            self._halve(timeline, jobs, error)
        except (LogUnavailable, DatabaseError, InterfaceError) as error:
            self._lose(jobs, error)
        except UnknownTimeline:
            gone = Refused(403, "unknown_system", "the key's system is gone; use another key")
            self._fail(jobs, gone)
        except Exception as error:  # a bug of ours: it must cost nobody else's events
            self._halve(timeline, jobs, error)
        else:
            with self._changed:
                self._proven = time.monotonic()
            for outcome in outcomes:
                assert isinstance(outcome, Stored)
                self.counts["stored"] += outcome.stored
                self.counts["duplicates"] += outcome.duplicates
            self.counts["commits"] += 1
            self._answer(list(zip(jobs, outcomes, strict=True)))

    def _write(self, timeline: int, jobs: Sequence[Job]) -> list[Stored]:
        reached("before_begin")
        try:
            return batch.write(timeline, jobs)
        except (LogUnavailable, DatabaseError, InterfaceError):
            # A connection that died while idle, or with its server, says so only when it is used.
            # Writing again is safe: what was committed after all is found to be there already.
            if connection.vendor == "sqlite" or connection.is_usable():
                raise
            connection.close()
            return batch.write(timeline, jobs)

    def _halve(self, timeline: int, jobs: Sequence[Job], error: Exception) -> None:
        """Find out which job it was, so that the others are stored."""
        if len(jobs) > 1:
            half = len(jobs) // 2
            self._commit(timeline, jobs[:half])
            self._commit(timeline, jobs[half:])
            return
        logger.error("The database refused events that looked storable", exc_info=error)
        try:
            outcome: Outcome = batch.write_what_can_be(timeline, jobs[0])
        except (LogUnavailable, DatabaseError, InterfaceError) as worse:
            self._lose(jobs, worse)
        else:
            self._answer([(jobs[0], outcome)])

    def _lose(self, jobs: Sequence[Job], error: Exception) -> None:
        """Answer everybody that the log cannot be written, and begin to probe."""
        connection.close()
        logger.error("The log cannot be written: %s", error)
        with self._changed:
            self._trouble = f"the log cannot be written now ({type(error).__name__})"
            self._probe_wanted = False
            self._changed.notify_all()
        self._fail([*jobs, *self._drain()], unavailable(self._trouble))

    def _probe(self) -> None:
        """See whether a small write goes through."""
        trouble = ""
        try:
            beat("ingest")
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            trouble = f"the log cannot be written now ({type(error).__name__})"
        with self._changed:
            if self._trouble and not trouble:
                logger.warning("The log can be written again")
            self._trouble = trouble
            self._proven = self._proven if trouble else time.monotonic()
            self._probe_wanted = False
            self._changed.notify_all()

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        self._answer([(job, error) for job in jobs])

    def _answer(self, answers: Sequence[tuple[Job, Outcome]]) -> None:
        """Tell the jobs what became of them; those of one event loop in one go."""
        reached("before_answer")
        with self._changed:
            self.events -= sum(job.events for job, _ in answers)
            self.bytes -= sum(job.size for job, _ in answers)
            self._changed.notify_all()
        loops: dict[asyncio.AbstractEventLoop | None, list[tuple[Job, Outcome]]] = {}
        for job, outcome in answers:
            loops.setdefault(job.loop, []).append((job, outcome))
        for loop, theirs in loops.items():
            if loop is None:
                _tell(theirs)
            else:
                try:
                    loop.call_soon_threadsafe(_tell, theirs)
                except RuntimeError:  # the loop is closed: nobody is left to be told
                    logger.warning("%s answers came after the end", len(theirs))


def _tell(answers: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in answers:
        job.done(outcome)


def unavailable(why: str) -> Refused:
    """Return the refusal for a log that cannot be written."""
    return Refused(
        503, "unavailable", f"{why}. Nothing of the request is stored; retry", retry_after=RETRY_S
    )


_current: Writer | None = None
_guard = threading.Lock()


def current() -> Writer:
    """Return this process's writer."""
    global _current
    with _guard:
        if _current is None:
            _current = Writer(max_events=settings.QUEUE_EVENTS, max_bytes=settings.QUEUE_BYTES)
        return _current


def closing() -> None:
    """Turn new requests away from now on."""
    current().stop_taking()


def close(timeout: float) -> None:
    """Write what is queued and end the writer."""
    current().close(timeout)
