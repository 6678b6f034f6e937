"""Celery in the web process: a worker and its clock in threads, on a broker in memory.

What works and what does not: retries, countdowns and revoking do; time limits are not enforced in
threads, and tasks still waiting when the process ends are lost. So a task is only ever a bell: what
must be done is in the database, and ringing again is harmless.
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from celery import Celery
from celery.beat import Scheduler, Service
from celery.worker import WorkController, state

logger = logging.getLogger(__name__)

HOSTNAME = "embedded@localhost"
STOP_S = 5  # a task still running after this is left behind; its thread ends with the process
AT_START = ("apps.access.tasks.sweep",)  # a process restarted every hour would never come to it


class Embedded:
    """A worker and a clock, from `with` to the end of it. One at a time in a process."""

    def __init__(self, app: Celery, *, concurrency: int = 2) -> None:
        self._worker = WorkController(
            app=app,
            pool_cls="threads",
            concurrency=concurrency,
            hostname=HOSTNAME,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        # In memory: the default writes the schedule to a file in the current folder.
        self._clock = Service(app, max_interval=1, scheduler_cls=Scheduler)
        self.threads = [
            threading.Thread(target=self._worker.start, name="celery worker", daemon=True),
            threading.Thread(target=self._clock.start, name="celery clock", daemon=True),
        ]
        self._app = app

    def __enter__(self) -> Embedded:
        state.should_stop = None
        for thread in self.threads:
            thread.start()
        for name in AT_START:
            self._app.send_task(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state.should_stop = 0  # the exit code; the worker looks at it after each message
        self._app.control.ping(destination=[HOSTNAME], timeout=0)  # or every two seconds
        self._clock.stop()
        for thread in self.threads:
            thread.join(STOP_S)
            if thread.is_alive():
                logger.warning("The %s is still busy and is left behind.", thread.name)
