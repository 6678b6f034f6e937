"""The firehose: every publication with the queues it was routed to, and every delivery.

It shows no acknowledgement. That a delivery was handled is inferred once its queue has nothing
unacknowledged left and nothing came back; what is still out when the time is over stays open.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from apps.ingest.connector import Delivery, Record, TapError
from apps.ingest.connectors.rabbitmq_management import Management
from apps.ingest.connectors.rabbitmq_records import event_id, now, plain, record
from apps.ingest.connectors.rabbitmq_wire import Given, Wire

EXCHANGE = "amq.rabbitmq.trace"
LANE = "firehose"
HELD = 200_000  # traces the broker keeps for us; more push out the oldest
FOLLOWED = 200_000  # deliveries whose end is open
LOOK_S = 2.0
STALE_US = 6_000_000  # how old the broker's figures may be
AGAIN = "Not acknowledged, and given again."
INFERRED = {"seen": "nothing of the queue is unacknowledged any more"}


class Out(msgspec.Struct):
    """A delivery whose end is open."""

    source: str
    attempt: int
    at: int


class Firehose:
    """What one virtual host does, for a time."""

    TAG = "firehose"

    def __init__(
        self, wire: Wire, management: Management, minutes: int, cursor: dict[str, str] | Any,
        *, taken: set[str],
    ) -> None:  # fmt: skip
        self._wire, self._management, self._taken = wire, management, taken
        began = int(cursor.get(LANE, 0)) or now()
        self._until = began + minutes * 60_000_000
        self._began, self.changed = began, LANE not in cursor
        self._out: OrderedDict[tuple[str, str], Out] = OrderedDict()
        self._died: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._looked = time.monotonic()
        self._relieve: Callable[[], None] | None = None
        self._queue = ""
        if now() < self._until:
            self._arm()

    def _arm(self) -> None:
        declared = self._wire.call(
            "queue_declare", "", exclusive=True, auto_delete=True,
            arguments={"x-max-length": HELD, "x-overflow": "drop-head"},
        )  # fmt: skip
        self._queue = declared.queue
        # Not `#`: our own queues' deliveries would be traced into themselves.
        self._wire.call("queue_bind", self._queue, EXCHANGE, "publish.#")
        self._wire.call("queue_bind", self._queue, EXCHANGE, "deliver.#")
        if not self._management.traces():
            self._relieve = self._management.guarded()
            self._management.trace(True)
        self._wire.consume(self._queue, self.TAG, apart=True, no_ack=True)

    @property
    def left_s(self) -> int:
        """How many seconds it goes on."""
        return max((self._until - now()) // 1_000_000, 0)

    def take(self, given: Given, records: list[Record], deliveries: list[Delivery]) -> None:
        """Add what one trace tells."""
        headers = given.properties.get("application_headers") or {}
        said = plain(headers)
        what, _, name = given.key.partition(".")
        properties = _properties(headers.get("properties"))
        if name.startswith(("evdebug.", "amq.gen-")) and what == "deliver":
            return
        found = record(
            properties, given.body, channel=str(said.get("exchange_name", "")),
            key=(said.get("routing_keys") or [""])[0],
            facts={"routed_queues": said.get("routed_queues") or [], "firehose": True},
        )  # fmt: skip
        if what == "publish":
            if found.channel not in self._taken:
                records.append(found)
        elif what == "deliver":
            deliveries += self._delivered(name, found, said)

    def _delivered(self, queue: str, found: Record, said: dict[str, Any]) -> list[Delivery]:
        event, source = event_id(found)
        if not event:
            return []
        moment, told = now(), []
        before = self._out.pop((queue, event), None)
        again = bool(said.get("redelivered"))
        attempt = 1 + (before.attempt if before else int(again))
        if attempt > 1:
            told.append(_delivery(queue, event, source, "failed", attempt - 1, moment, error=AGAIN))
        facts = {"connection": said.get("connection"), "user": said.get("user")}
        told.append(_delivery(queue, event, source, "received", attempt, moment, facts=facts))
        self._out[queue, event] = Out(source, attempt, moment)
        while len(self._out) > FOLLOWED:
            self._out.popitem(last=False)
        return told

    def died(self, letters: list[Delivery]) -> None:
        """Note deliveries that ended as dead letters, some before their trace has come."""
        moment = now()
        for letter in letters:
            self._died[letter.subscriber, letter.event_id] = moment
        while len(self._died) > FOLLOWED:
            self._died.popitem(last=False)

    def settled(self) -> list[Delivery]:
        """Return what was handled, as far as can be inferred; ends the firehose in time."""
        if self._queue and now() >= self._until:
            self.close()
        if not self._out or time.monotonic() - self._looked < LOOK_S:
            return []
        self._looked = time.monotonic()
        open_now = self._management.unacknowledged()
        before, moment, found = now() - STALE_US, now(), []
        for (queue, event), out in list(self._out.items()):
            if out.at > before:
                break  # in the order they were given
            if self._died.get((queue, event), 0) > out.at - STALE_US:
                del self._out[queue, event]
            elif open_now.get(queue, 0) == 0:
                del self._out[queue, event]
                found.append(_delivery(
                    queue, event, out.source, "handled", out.attempt, moment, earliest=out.at,
                    facts=INFERRED,
                ))  # fmt: skip
        return found

    def cursor(self) -> dict[str, str]:
        self.changed = False
        return {LANE: str(self._began)}

    def close(self) -> None:
        """Turn it off, if it was us who turned it on."""
        queue, relieve, self._queue, self._relieve = self._queue, self._relieve, "", None
        if relieve is not None:
            relieve()
        if queue:
            try:
                # The queue goes with its consumer. Deleted, it would be told of as if lost.
                self._wire.cancel_other(self.TAG, drop=False)
            except TapError:
                pass  # it ends with the connection


def _properties(traced: Any) -> dict[str, Any]:
    """Return a traced message's properties under the names they have on a message."""
    found = dict(traced or {})
    found["application_headers"] = found.pop("headers", {})
    return found


def _delivery(
    queue: str, event: str, source: str, outcome: str, attempt: int, at: int, *,
    earliest: int | None = None, error: str = "", facts: dict[str, Any] | None = None,
) -> Delivery:  # fmt: skip
    return Delivery(
        subscriber=queue, outcome=outcome, attempt=attempt, error=error, facts=facts or {},
        event_id=event, event_source=source, earliest=at if earliest is None else earliest,
        latest=at, evidence="passed" if outcome == "handled" else "delivered",
    )  # fmt: skip
