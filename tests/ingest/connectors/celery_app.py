"""A Celery application as anybody's: tasks that work, fail, retry and call others."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery

app = Celery("shop", broker=os.environ.get("CELERY_TEST_BROKER", "memory://"))
app.conf.update(
    task_send_sent_event=True, worker_send_task_events=True, task_ignore_result=True,
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
)  # fmt: skip


@app.task(name="shop.capture")  # type: ignore[untyped-decorator]
def capture(amount: int) -> int:
    """Work, and call another."""
    receipt.delay(amount)
    return amount


@app.task(name="shop.receipt")  # type: ignore[untyped-decorator]
def receipt(amount: int) -> None:
    """Work."""


@app.task(name="shop.decline")  # type: ignore[untyped-decorator]
def decline() -> None:
    """Fail."""
    raise ValueError("card declined")


@app.task(name="shop.flaky", bind=True, max_retries=2)  # type: ignore[untyped-decorator]
def flaky(self: Any) -> None:
    """Fail once, then work."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.1, exc=OSError("no answer"))


@app.task(name="shop.noted", bind=True, max_retries=2, acks_late=True)  # type: ignore[untyped-decorator]
def noted(self: Any, kind: str) -> None:
    """Do what `kind` says, and write down first that it is done."""
    attempt = self.request.retries + 1
    word, _, gate = kind.partition(" ")
    while word == "hold" and not os.path.exists(f"{os.environ['CELERY_TEST_NOTES']}.{gate}"):
        time.sleep(0.05)
    if kind == "retry" and attempt < 3:
        note(self.request.id, "failed", attempt)
        raise self.retry(countdown=0.1, exc=OSError("no answer"))
    if kind == "fail":
        note(self.request.id, "gave_up", attempt)
        raise ValueError("card declined")
    if kind == "crash":
        note(self.request.id, "crashed", attempt)
        os.kill(os.getpid(), signal.SIGKILL)
    note(self.request.id, "handled", attempt)


def note(task: str, outcome: str, attempt: int) -> None:
    """Write a line that is there whatever happens next."""
    with open(os.environ["CELERY_TEST_NOTES"], "a") as out:
        out.write(f"{task} {outcome} {attempt}\n")
