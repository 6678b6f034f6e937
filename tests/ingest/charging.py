"""A Celery application as anybody's: it charges a card and tells so over RabbitMQ."""

from __future__ import annotations

import os
from typing import Any

import amqp
from celery import Celery

EXCHANGE = "whole-way.charged"

app = Celery("billing", broker=os.environ.get("CELERY_TEST_BROKER", "memory://"))
app.conf.update(
    worker_send_task_events=True, task_ignore_result=True, worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)  # fmt: skip


@app.task(name="billing.charge", bind=True)  # type: ignore[untyped-decorator]
def charge(self: Any, order: str) -> None:
    """Publish that an order was charged, with the ids Celery has for it."""
    message = amqp.Message(
        b'{"order":"%s"}' % order.encode(), content_type="application/json", type="Charged",
        message_id=f"charged-{order}", correlation_id=self.request.root_id, app_id="/billing",
        application_headers={"causation-id": self.request.id},
    )  # fmt: skip
    with amqp.Connection(os.environ["AMQP_TEST_HOST"]) as connection:
        connection.channel().basic_publish(message, EXCHANGE, "order")
