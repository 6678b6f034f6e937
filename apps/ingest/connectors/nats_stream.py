"""One JetStream stream, pulled by a consumer of our own, and its other consumers, overheard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from apps.ingest.connector import (
    Batch,
    Cursor,
    Delivery,
    Gap,
    Lag,
    Progress,
    Record,
    Refused,
    Unreachable,
)
from apps.ingest.connectors import nats_acks, nats_records
from apps.ingest.connectors.nats_acks import Acks, Told
from apps.ingest.connectors.nats_records import now
from apps.ingest.connectors.nats_wire import Message, Wire, content_type, headers

BYTES = 8 * 1024 * 1024
EXPIRES_S = 30  # of a pull, and of our consumer once nobody pulls
BEAT_S = 5  # the server says so often that it is there while there is nothing to give
ROOM = 1 << 17  # for headers and subjects
LOOK_S = 2.0  # between two looks at the consumers
TELL_S = 5.0
LANE = "stream"
OURS = "evdebug, listening"  # how consumers of taps are told from those of services
WATCHED = 1000  # consumers of a stream

Info = dict[str, Any]


class Place(msgspec.Struct, array_like=True):
    """How far the stream is read."""

    sequence: int | None  # None: nothing was read, and nothing before counts as missed
    created: str  # when the stream was made
    generation: int = 0

    @property
    def epoch(self) -> str:
        return str(self.generation) if self.generation else ""


def suitable(info: Info) -> None:
    """Refuse a stream that a listener would disturb.  raises  Refused"""
    kept = info["config"].get("retention", "limits")
    if kept != "limits":
        raise Refused(
            f"Stream {info['config']['name']} keeps a message until its consumers took it "
            f"(retention {kept}), so one more consumer would change what it keeps. Tap its "
            f"subjects instead: subjects={','.join(info['config'].get('subjects', []))}"
        )


class Stream:
    """Reads one stream over one connection."""

    def __init__(
        self, wire: Wire, name: str, consumers: list[str], cursor: Cursor, start: str | datetime
    ) -> None:
        self._wire, self._name, self._only = wire, name, set(consumers)
        self._gaps: list[Gap] = []
        self._consumer, self._left, self._pending = "", 0, 0
        # A pull that a message does not fit into would never end.
        self._bytes = max(BYTES, wire.server.get("max_payload", 0) + ROOM)
        info = wire.ask(f"$JS.API.STREAM.INFO.{name}")
        if not info:
            raise Refused(f"There is no stream {name} at {wire.shown}.")
        suitable(info)
        self._untold = LANE not in cursor
        anew = self._stand(info, cursor, start)
        told = {} if anew else {
            lane.removeprefix("consumer "): msgspec.json.decode(text, type=Told)
            for lane, text in cursor.items() if lane.startswith("consumer ")
        }  # fmt: skip
        self._acks = Acks(name, self._place.epoch, told)
        self._since = 0 if anew else int(cursor.get("heard", 0))
        self._first = info["state"]["first_seq"]
        self._subjects = set(info["config"].get("subjects") or [">"])
        self._looked = self._reported = 0.0
        self._all_policy: set[str] = set()
        self._floors: dict[str, int] = {}
        self._overhear()
        self._make_consumer(start)

    def _stand(self, info: Info, cursor: Cursor, start: str | datetime) -> bool:
        """Find the place to read on from; return whether the stream is another than it was."""
        state, created = info["state"], info["created"]
        if LANE not in cursor:
            sequence = 0 if start == "beginning" and state["first_seq"] <= 1 else None
            self._place = Place(state["last_seq"] if start == "now" else sequence, created)
            return False
        self._place = place = msgspec.json.decode(cursor[LANE], type=Place)
        if place.created != created:
            self._gaps.append(nats_records.anew(self._name, place.sequence))
            self._place = Place(0, created, place.generation + 1)
            return True
        if place.sequence is not None and state["last_seq"] < place.sequence:
            # The server came back without its last moments, and gives their numbers out again.
            self._place = Place(state["last_seq"], created, place.generation + 1)
            return True
        return False

    def _make_consumer(self, start: str | datetime) -> None:
        policy: Info = {"deliver_policy": "all"}
        if self._place.sequence is not None:
            policy = {
                "deliver_policy": "by_start_sequence", "opt_start_seq": self._place.sequence + 1
            }  # fmt: skip
        elif isinstance(start, datetime):
            at = start.astimezone(UTC).isoformat().replace("+00:00", "Z")
            policy = {"deliver_policy": "by_start_time", "opt_start_time": at}
        config = policy | {
            "ack_policy": "none", "replay_policy": "instant", "mem_storage": True,
            "num_replicas": 1, "inactive_threshold": EXPIRES_S * 1_000_000_000,
            "description": OURS,
        }  # fmt: skip
        made = self._wire.ask(
            f"$JS.API.CONSUMER.CREATE.{self._name}", {"stream_name": self._name, "config": config}
        )
        if not made:
            raise Refused(f"There is no stream {self._name} at {self._wire.shown}.")
        self._consumer, self._pending = made["name"], made.get("num_pending", 0)
        self._beat = time.monotonic()

    def _overhear(self) -> None:
        subjects = (
            f"$JS.ACK.{self._name}.>",
            f"$JS.ACK.*.*.{self._name}.>",
            f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{self._name}.*",
        )
        self._sids = {self._wire.subscribe(subject) for subject in subjects}
        self._look(begin=True)

    def read(self, limit: int, wait: float) -> Batch:
        """Return what comes next, acknowledgements of others included."""
        until = time.monotonic() + wait
        records: list[Record] = []
        deliveries: list[Delivery] = []
        gaps, self._gaps = self._gaps, []
        size = 0
        while len(records) < limit and len(deliveries) < limit and size < BYTES:
            self._pull(limit)
            idle = not (records or deliveries or gaps)
            left = until - time.monotonic()
            message = self._wire.next(min(max(left, 0), LOOK_S) if idle else 0)
            if message is not None:
                if found := self._took(message, deliveries):
                    records.append(found)
                    size += len(message.body)
            elif left <= 0 or not idle or time.monotonic() - self._looked >= LOOK_S:
                break
        progress = self._look_again(deliveries)
        if missed := self._missed(records):
            gaps.append(missed)
        if not (records or deliveries or gaps or progress or self._untold):
            self._listen_for_the_server()
            return Batch()
        self._untold = False
        return Batch(records, deliveries, progress, gaps, self._cursor(records))

    def _pull(self, limit: int) -> None:
        """Ask for more once everything that was asked for came."""
        if self._left > 0:
            return
        self._asked, self._left = self._wire.inbox(), limit
        second = 1_000_000_000
        self._wire.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._name}.{self._consumer}",
            json.dumps({
                "batch": limit, "max_bytes": self._bytes, "expires": EXPIRES_S * second,
                "idle_heartbeat": BEAT_S * second,
            }).encode(),
            self._asked,
        )  # fmt: skip

    def _took(self, message: Message, deliveries: list[Delivery]) -> Record | None:
        """Return a record, or add what else a message says."""
        if message.sid in self._sids:
            deliveries += self._overheard(message)
            return None
        self._beat = time.monotonic()
        if message.subject == self._asked:
            self._told_by_server(message)
            return None
        ack = nats_acks.parsed(message.reply)
        if ack is None or ack.consumer != self._consumer:
            return None
        self._left -= 1
        self._pending = ack.pending
        heads = headers(message.head)
        return Record(
            body=message.body, channel=self._name, offset=str(ack.sequence), key=message.subject,
            epoch=self._place.epoch, headers=heads, time=ack.stored,
            content_type=content_type(heads),
        )  # fmt: skip

    def _told_by_server(self, message: Message) -> None:
        if message.status == 100:
            return
        if message.status in (404, 408) or b"Max" in message.head:
            self._left = 0  # this pull is over
            return
        raise Unreachable("The consumer evdebug reads by is gone; it is made again.")

    def _listen_for_the_server(self) -> None:
        if time.monotonic() - self._beat > 3 * BEAT_S:
            raise Unreachable(f"NATS at {self._wire.shown} has gone silent.")

    def _overheard(self, message: Message) -> list[Delivery]:
        moment = now()
        if ack := nats_acks.parsed(message.subject):
            if ack.stream != self._name:
                return []
            self._meet(ack.consumer)
            covers = ack.consumer in self._all_policy
            return self._acks.heard(ack, message.body, moment, covers=covers)
        advisory = json.loads(message.body)
        self._meet(advisory["consumer"])
        return self._acks.given_up(advisory, moment)

    def _meet(self, consumer: str) -> None:
        """Look at a consumer that was not there at the last look."""
        if consumer not in self._acks.told and self._is_watched(consumer):
            self._look()

    def _is_watched(self, consumer: str) -> bool:
        return consumer != self._consumer and (not self._only or consumer in self._only)

    def _missed(self, records: list[Record]) -> Gap | None:
        """Return the gap before or between records, and move the place on."""
        missing, first, last = 0, None, 0
        for read in records:
            sequence = int(read.offset)
            before = self._place.sequence
            if before is not None and sequence > before + 1:
                missing += sequence - before - 1
                first, last = before if first is None else first, sequence - 1
            self._place.sequence = sequence
        return None if first is None else nats_records.gone(self._name, first, last, missing)

    def _cursor(self, records: list[Record]) -> Cursor:
        return {
            LANE: msgspec.json.encode(self._place).decode(), "heard": str(now()),
            **{f"consumer {n}": t.encode() for n, t in self._acks.told.items()},
        }  # fmt: skip

    def _look_again(self, deliveries: list[Delivery]) -> list[Progress]:
        if time.monotonic() - self._looked < LOOK_S:
            return []
        infos = self._look()
        moment = now()
        for info in infos:
            name, floor = info["name"], info["ack_floor"]["stream_seq"]
            # A cluster may show the floor before its acknowledgement came to us, so only what was
            # below it at the last look, too, counts as missed.
            before, self._floors[name] = self._floors.get(name, 0), floor
            if self._tells_all(info):
                deliveries += self._acks.passed(name, min(before, floor), self._since, moment)
        self._since = moment
        if time.monotonic() - self._reported < TELL_S:
            return []
        self._reported = time.monotonic()
        return [nats_records.progress(self._name, info, moment) for info in infos]

    def _tells_all(self, info: Info) -> bool:
        """Return whether every event up to the floor was this consumer's to settle."""
        config = info["config"]
        only = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
        unfiltered = ">" in only or self._subjects <= set(only)
        return unfiltered and config.get("ack_policy") != "none"

    def _look(self, *, begin: bool = False) -> list[Info]:
        """Return the consumers that are watched, and begin to follow the new ones."""
        others = [i for i in self._list() if i["config"].get("description") != OURS]
        infos = [i for i in others if self._is_watched(i["name"])][:WATCHED]
        for info in infos:
            name, floor = info["name"], info["ack_floor"]["stream_seq"]
            if info["config"].get("ack_policy") == "all" and self._tells_all(info):
                self._all_policy.add(name)
            if name not in self._acks.told:
                # One that is there before us got things before us; a new one all, or what is new.
                from_first = not begin and info["config"].get("deliver_policy") == "all"
                self._acks.told[name] = Told(max(self._first - 1, 0) if from_first else floor)
            elif begin:
                self._floors[name] = floor
        names = {info["name"] for info in infos}
        for name in [n for n in self._acks.told if n not in names]:
            del self._acks.told[name]
        self._looked = time.monotonic()
        return infos

    def _list(self) -> Iterable[Info]:
        offset, total = 0, 1
        while offset < min(total, WATCHED):
            page = self._wire.ask(f"$JS.API.CONSUMER.LIST.{self._name}", {"offset": offset})
            consumers = page.get("consumers") or []
            yield from consumers
            offset, total = offset + len(consumers), page.get("total", 0) if consumers else 0

    def lag(self) -> Lag:
        return Lag(self._pending, 0 if not self._pending else None)

    def close(self) -> None:
        if not self._consumer:
            return
        try:
            self._wire.ask(f"$JS.API.CONSUMER.DELETE.{self._name}.{self._consumer}")
        except (Unreachable, Refused):
            pass  # it expires by itself
        self._consumer = ""
