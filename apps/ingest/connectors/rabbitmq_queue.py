"""The queue of a tap beside the others: it expires by itself, is bounded, and holds nobody up.

What it has to let go of before it was read goes to a second queue, which keeps the last such
message alone: so that something was lost can be told.
"""

from __future__ import annotations

from apps.ingest.connector import Gap
from apps.ingest.connectors.rabbitmq_records import now
from apps.ingest.connectors.rabbitmq_wire import Given, Wire

EXPIRES_S = 3600  # of our queue, once nobody reads it
QUEUE_BYTES = 256 * 1024 * 1024  # what it may hold meanwhile; more pushes out the oldest
LOST = ".lost"  # ends the name of the second queue, and is the tag of its consumer
WORDS = {
    "expired": "Messages whose own time ran out before evdebug read them are lost.",
    "maxlen": "evdebug's queue was full, and the oldest messages were pushed out of it.",
}


def declare(wire: Wire, queue: str) -> bool:
    """Have both queues be there; return whether ours was."""
    if wire.exists(queue):
        return True
    mortal = {"x-expires": EXPIRES_S * 1000, "x-overflow": "drop-head"}
    wire.call(
        "queue_declare", queue + LOST, durable=True, auto_delete=False,
        arguments=mortal | {"x-max-length": 1},
    )  # fmt: skip
    wire.call(
        "queue_declare", queue, durable=True, auto_delete=False,
        arguments=mortal | {  # refusing what is too much would hold up the publishers
            "x-max-length-bytes": QUEUE_BYTES, "x-queue-mode": "lazy",
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue + LOST,
        },
    )  # fmt: skip
    return False


def consume(wire: Wire, queue: str, tag: str) -> None:
    """Have the messages of our queue come with a tag, and those of the second with `LOST`."""
    wire.consume(queue, tag)
    if wire.exists(queue + LOST):  # a queue of an earlier release has none
        wire.consume(queue + LOST, LOST)


def delete(wire: Wire, queue: str) -> None:
    """Delete both; of one that is not there it makes no matter."""
    for name in (queue, queue + LOST):
        wire.call("queue_delete", name)


def lost(given: Given) -> Gap:
    """Return what a message of the second queue tells."""
    headers = given.properties.get("application_headers") or {}
    deaths = headers.get("x-death") or [{}]
    exchange, reason = str(deaths[0].get("exchange", "")), str(deaths[0].get("reason", ""))
    words = WORDS.get(reason, f"Messages left evdebug's queue before they were read: {reason}.")
    return Gap(channel=exchange, cause="dropped", at=now(), words=words)
