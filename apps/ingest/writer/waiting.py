"""What waits to be written, bounded in events and bytes, and whether anything can be."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job
from apps.ingest.problems import Refused

BATCH = 5000  # events in one commit
GATHER_S = 0.001
GATHERINGS = 8
NEVER = 1 << 62
PROBE_S = 1.0
PATIENCE_S = 3.0  # for a proof that the log can be written
FRESH_S = 5.0  # how long such a proof counts
RETRY_S = 5  # what clients are told


class Waiting:
    """The queue between many requests and one writer. All methods may be called by any thread."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.max_events, self.max_bytes = max_events, max_bytes
        self.events = self.bytes = 0  # waiting or being written
        self.closing = False  # new requests are turned away
        self.closed = False  # and so are new jobs
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._trouble = ""  # why nothing can be written now
        self._proven = -FRESH_S  # when a write last succeeded
        self._probe_wanted = False
        self._wanted = 1  # jobs for which the writer is to be woken
        self._crowd = 0  # jobs worth waiting for: as many as there were lately

    @property
    def trouble(self) -> str:
        """Why nothing can be written now, "" when it can."""
        return self._trouble

    def check(self) -> None:
        """Raise Refused (503) when nothing new can be taken now."""
        if self.closing:
            raise stopping()
        if self._trouble:
            raise unavailable(self._trouble)

    def put(self, job: Job, *, patient: bool) -> bool:
        """Queue a job. `patient`: return False where there is no room, instead of raising.

        raises  Refused: 429 when the queue is full, 503 when the log cannot be written now
        """
        with self._changed:
            if self.closed:
                raise stopping()
            if self._trouble:
                raise unavailable(self._trouble)
            # A job alone is taken whatever its size: it was bounded on its way in.
            full = self._jobs and (
                self.events + job.events > self.max_events or self.bytes + job.size > self.max_bytes
            )
            if full and patient:
                return False
            if full:
                raise Refused(
                    429, "queue_full", "too much is waiting to be written; retry", retry_after=1
                )
            self._jobs.append(job)
            self.events += job.events
            self.bytes += job.size
            if len(self._jobs) >= self._wanted:
                self._changed.notify_all()
        reached("queued")
        return True

    def take(self) -> list[Job] | None:
        """Wait for jobs and return those of the next commit; [] to probe, None to end."""
        with self._changed:
            self._wanted = 1
            while not (self._jobs or self._probe_wanted or self.closed):
                if self._trouble:
                    self._changed.wait(PROBE_S)
                    break
                self._changed.wait()
            if self._jobs:
                self._gather()
            self._wanted = NEVER
            if not self._jobs:
                return None if self.closed else []
            return self._next()

    def _gather(self) -> None:
        """Wait for those who were just answered and are about to write again, while they come.

        A few milliseconds, and only where many write at once: it costs them less than the commit
        they would otherwise wait for, and a commit for each half costs twice.
        """
        self._wanted = self._crowd
        for _ in range(GATHERINGS):
            before = len(self._jobs)
            if before >= self._crowd or self.closed:
                return
            self._changed.wait(GATHER_S)
            if len(self._jobs) == before:
                return

    def _next(self) -> list[Job]:
        jobs = [self._jobs.popleft()]
        events = jobs[0].events
        while self._jobs and events + self._jobs[0].events <= BATCH:
            jobs.append(self._jobs.popleft())
            events += jobs[-1].events
        self._crowd = max(len(jobs), self._crowd * 7 // 8)
        return jobs

    def drain(self) -> list[Job]:
        """Return all that waits, and have nothing wait any more."""
        with self._changed:
            jobs = list(self._jobs)
            self._jobs.clear()
            return jobs

    def release(self, jobs: Sequence[Job]) -> None:
        """Give back the room of jobs that were answered."""
        with self._changed:
            self.events -= sum(job.events for job in jobs)
            self.bytes -= sum(job.size for job in jobs)

    def close(self) -> None:
        """Take no more jobs."""
        with self._changed:
            self.closing = self.closed = True
            self._changed.notify_all()

    def proof(self) -> str:
        """Return "" if a write succeeded within the last seconds or does now, else why not."""
        with self._changed:
            if self.closing:
                return "evdebug is stopping"
            if not self._trouble and time.monotonic() - self._proven > FRESH_S:
                self._probe_wanted = True
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: not self._probe_wanted, PATIENCE_S):
                    return f"the log confirmed no write within {PATIENCE_S:.0f} s"
            return self._trouble

    def proved(self, trouble: str = "") -> None:
        """Note that a write succeeded, or why none does."""
        with self._changed:
            self._trouble = trouble
            if not trouble:
                self._proven = time.monotonic()
            self._probe_wanted = False
            self._changed.notify_all()


def unavailable(why: str) -> Refused:
    """Return the refusal for a log that cannot be written."""
    return Refused(
        503, "unavailable", f"{why}. Nothing of the request is stored; retry", retry_after=RETRY_S
    )


def stopping() -> Refused:
    """Return the refusal for the time between the signal and the end."""
    return Refused(503, "stopping", "evdebug is stopping; retry", retry_after=RETRY_S)
