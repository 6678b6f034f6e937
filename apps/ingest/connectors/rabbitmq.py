"""RabbitMQ: a queue of our own bound beside the others, streams, and the firehose for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from apps.ingest import broker_url
from apps.ingest.buses import BEGIN
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Delivery,
    Gap,
    Guarantee,
    Lag,
    Line,
    Record,
    Setting,
    Surroundings,
    TapError,
    Unreachable,
)
from apps.ingest.connectors import rabbitmq_queue
from apps.ingest.connectors.rabbitmq_firehose import LANE, Firehose
from apps.ingest.connectors.rabbitmq_management import Management
from apps.ingest.connectors.rabbitmq_records import deaths, now, record
from apps.ingest.connectors.rabbitmq_streams import StreamQueues
from apps.ingest.connectors.rabbitmq_wire import Given, Wire
from apps.ingest.unsettled import Unsettled

PORTS = {"amqp": 5672, "amqps": 5671}
BYTES = 8 * 1024 * 1024
PREFETCH = 2000
QUEUE = "queue"  # tag of our consumer, and lane of the cursor: what our queue is bound to

COST = (
    "While it is armed, everybody's messages take the broker two to six times as long: with two "
    "queues the throughput measured fell by 55 to 84 %."
)


class RabbitMQ:
    """Exchanges, streams or the whole traffic of one virtual host."""

    bus: ClassVar[str] = "rabbitmq"
    title: ClassVar[str] = "RabbitMQ"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True, secret=True,
                help="amqp://user:password@host:5672/vhost, or amqps:// for TLS"),
        Setting("exchanges", "Exchanges", kind="list", help="names of exchanges to listen to"),
        Setting("keys", "Routing keys", kind="list", default="#",
                help="patterns; # is every key of a topic or fanout exchange"),
        Setting("streams", "Streams", kind="list", help="names of stream queues"),
        Setting("firehose", "Firehose minutes", kind="minutes",
                help="see every delivery for so long, 0 for not at all", cost=COST),
        Setting("management", "Management API", kind="url", secret=True,
                help="http://user:password@host:15672; for the firehose. "
                     "Left out: the broker's host and credentials"),
        BEGIN,
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._exchanges: list[str] = settings["exchanges"]
        self._keys: list[str] = settings["keys"] or ["#"]
        self._streams: list[str] = settings["streams"]
        self._minutes: int = settings["firehose"]
        self._start: str | datetime = settings["start"]
        self.rewinds = bool(self._streams)
        self._around = around
        self._management = Management(settings["management"], self._url, around)
        if not (self._exchanges or self._streams or self._minutes):
            raise BadSettings("give exchanges, streams or minutes of the firehose to listen to")
        if any(name.startswith("amq.rabbitmq.") for name in self._exchanges):
            raise BadSettings("setting exchanges names one of the broker's own; use firehose")
        self._wire: Wire | None = None
        self._firehose: Firehose | None = None
        self._ready = 0

    @property
    def _queue(self) -> str:
        return f"evdebug.{self._around.name}"

    def armed(self, cursor: Cursor) -> str:
        """Return how long the firehose is still armed and what it costs, "" without one."""
        if not self._minutes:
            return ""
        began = int(cursor.get(LANE, 0))
        left = began + self._minutes * 60_000_000 - time.time_ns() // 1000
        if began and left <= 0:
            return "The firehose was armed for its time and is off again."
        if not began:
            return f"The firehose will be armed for {self._minutes} min once this runs. {COST}"
        return f"The firehose is armed for {-(-left // 60_000_000)} more min. {COST}"

    def guarantee(self) -> Guarantee:
        if not self._exchanges and not self._streams:
            return Guarantee(
                "lossy",
                "The firehose shows each publication and delivery at most once, and no "
                "acknowledgement: that something was handled is inferred.",
            )
        return Guarantee(
            "exactly_once",
            "Every message from the first connection on exactly once, also after a crash. "
            f"While evdebug is away its queue keeps {rabbitmq_queue.QUEUE_BYTES >> 20} MiB for "
            f"{rabbitmq_queue.EXPIRES_S // 60} minutes; beyond that the oldest are lost, which is "
            "told as a gap. Streams are read from any place they still hold.",
        )

    def place(self) -> str:
        what = [*self._exchanges, *self._streams, *(["firehose"] if self._minutes else [])]
        return f"{self._url.shown} · {', '.join(what)}"

    def check(self) -> Checked:
        wire = None
        try:
            wire = Wire(self._url, self._around)
            there = Line("ok", f"RabbitMQ answers at {wire.shown}.")
            return Checked([there, *self._looked_at(wire)])
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            if wire is not None:
                wire.close()

    def _looked_at(self, wire: Wire) -> list[Line]:
        lines = []
        for name in self._exchanges:
            wire.call("exchange_declare", name, "topic", passive=True)
            lines.append(Line("ok", f"Exchange {name} is there."))
        for name in self._streams:
            wire.call("queue_declare", name, passive=True)
            lines.append(Line("ok", f"Stream {name} is there."))
        return lines + (self._management.looked_at() if self._minutes else [])

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._wire = wire = Wire(self._url, self._around)
        self._unsettled = Unsettled(cursor)
        self._untold = not cursor
        self._gaps: list[Gap] = []
        self._read: list[Record] = []
        self._tag = 0
        if self._exchanges:
            self._listen(wire, cursor)
        self._stream_queues = StreamQueues(wire, self._streams, cursor, self._start)
        if self._minutes:
            self._firehose = Firehose(
                wire, self._management, self._minutes, cursor, taken=set(self._exchanges)
            )

    def _listen(self, wire: Wire, cursor: Cursor) -> None:
        if not rabbitmq_queue.declare(wire, self._queue) and QUEUE in cursor:
            self._gaps = [_expired(name) for name in self._exchanges]
        wanted = self._bindings()
        for exchange, key in wanted:
            wire.call("queue_bind", self._queue, exchange, key)
        for exchange, key in _bound(cursor):
            if (exchange, key) not in wanted:
                wire.call("queue_unbind", self._queue, exchange, key)
        wire.call("basic_qos", 0, PREFETCH, False)
        rabbitmq_queue.consume(wire, self._queue, QUEUE)

    def leave(self) -> None:
        """Delete our queue; it would expire only in a while."""
        wire = Wire(self._url, self._around)
        try:
            rabbitmq_queue.delete(wire, self._queue)
        finally:
            wire.close()

    def _bindings(self) -> list[tuple[str, str]]:
        return [(exchange, key) for exchange in self._exchanges for key in self._keys]

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._wire is not None, "read before open"
        gaps, self._gaps = self._gaps, []
        records: list[Record] = []
        deliveries: list[Delivery] = []
        size, until = 0, time.monotonic() + wait
        limit = min(limit, PREFETCH // 2)  # the others come while these are stored
        while len(records) < limit and len(deliveries) < limit and size < BYTES:
            idle = not (records or deliveries or gaps)
            left = max(until - time.monotonic(), 0) if idle else 0
            given = self._wire.next(left)
            if given is None:
                self._stream_queues.waited(left, gaps)
                break
            size += len(given.body)
            self._take(given, records, deliveries, gaps)
        if self._firehose is not None:
            deliveries += self._firehose.settled()
        if self._wire.cancelled:
            raise Unreachable("The queue evdebug reads was deleted; it is made again.")
        if not (records or deliveries or gaps or self._untold or self._must_tell()):
            return Batch()
        self._untold = False
        return Batch(records, deliveries, (), gaps, self._cursor(records), token=self._tag or None)

    def _must_tell(self) -> bool:
        return self._firehose is not None and self._firehose.changed

    def _take(
        self, given: Given, records: list[Record], deliveries: list[Delivery], gaps: list[Gap]
    ) -> None:
        if given.consumer == QUEUE:
            found = record(
                given.properties, given.body, channel=given.exchange, key=given.key,
                facts={"redelivered": True} if given.redelivered else None,
            )  # fmt: skip
            letters = list(deaths(given.properties, found))
            deliveries += letters
            if self._firehose is not None:
                self._firehose.died(letters)
            if self._unsettled.again(found, redelivered=given.redelivered):
                found = _stored_before(found)
            records.append(found)
            self._tag = given.tag
        elif given.consumer == rabbitmq_queue.LOST:
            if not any(gap.cause == "dropped" for gap in gaps):
                gaps.append(rabbitmq_queue.lost(given))
            self._tag = given.tag
        elif self._firehose is not None and given.consumer == Firehose.TAG:
            self._firehose.take(given, records, deliveries)
        else:
            self._stream_queues.take(given, records, gaps)

    def _cursor(self, records: list[Record]) -> Cursor:
        queued = [r for r in records if not r.offset and not r.again and "firehose" not in r.facts]
        cursor = {**self._unsettled.cursor(queued), **self._stream_queues.cursor()}
        if self._exchanges:
            cursor[QUEUE] = msgspec.json.encode(self._bindings()).decode()
        if self._firehose is not None:
            cursor |= self._firehose.cursor()
        return cursor

    def settle(self, batch: Batch) -> None:
        assert self._wire is not None, "settle before open"
        if batch.token is not None:
            self._wire.call("basic_ack", batch.token, multiple=True)
            # Answered only after the acknowledgement was taken: now it cannot come again.
            told = self._wire.call("queue_declare", self._queue, passive=True)
            self._ready = told.message_count
            self._tag = 0
        self._stream_queues.settle()

    def lag(self) -> Lag:
        return Lag(self._ready if self._exchanges else None)

    def close(self) -> None:
        firehose, wire, self._firehose, self._wire = self._firehose, self._wire, None, None
        if firehose is not None:
            firehose.close()
        if wire is not None:
            wire.close()


def _bound(cursor: Cursor) -> list[tuple[str, str]]:
    """Return what our queue was bound to at the last commit."""
    return msgspec.json.decode(cursor.get(QUEUE, "[]"), type=list[tuple[str, str]])


def _stored_before(found: Record) -> Record:
    return msgspec.structs.replace(found, again=True)


def _expired(exchange: str) -> Gap:
    return Gap(
        channel=exchange, cause="disconnected", at=now(),
        words="evdebug was away for longer than its queue is kept; what was published since the "
        "queue expired is lost.",
    )  # fmt: skip
