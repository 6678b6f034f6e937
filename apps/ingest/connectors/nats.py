"""NATS: a JetStream stream by a consumer of our own that expires by itself, or core subjects."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol

from apps.ingest import broker_url
from apps.ingest.buses import BEGIN
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Gap,
    Guarantee,
    Lag,
    Line,
    Record,
    Refused,
    Setting,
    Surroundings,
    TapError,
)
from apps.ingest.connectors.nats_records import record
from apps.ingest.connectors.nats_stream import Stream, suitable
from apps.ingest.connectors.nats_wire import Wire, content_type, headers

PORTS = {"nats": 4222, "tls": 4222}
BYTES = 8 * 1024 * 1024
SAMPLES = 3
LISTENED = "listened"  # lane of the cursor: until when we listened to subjects, in µs


class Reader(Protocol):
    """What reads over an open connection."""

    def read(self, limit: int, wait: float) -> Batch: ...

    def lag(self) -> Lag: ...

    def close(self) -> None: ...


class Nats:
    """A stream or subjects of one NATS account."""

    bus: ClassVar[str] = "nats"
    title: ClassVar[str] = "NATS"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True, secret=True,
                help="nats://user:password@host:4222, nats://token@host, or tls:// for TLS"),
        Setting("stream", "JetStream stream", help="the name of a stream"),
        Setting("subjects", "Core subjects", kind="list",
                help="subjects without a stream, such as orders.>"),
        Setting("consumers", "Consumers to watch", kind="list",
                help="names; all of the stream's where none is named"),
        BEGIN,
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._stream: str = settings["stream"]
        self._subjects: list[str] = settings["subjects"]
        self._consumers: list[str] = settings["consumers"]
        self._start: str | datetime = settings["start"]
        self.rewinds = bool(self._stream)
        self._around = around
        if bool(self._stream) == bool(self._subjects):
            raise BadSettings("give either the setting stream or the setting subjects")
        if any(c in self._stream for c in ".*> /\\\t\r\n"):
            raise BadSettings("setting stream is no name of a stream")
        self._wire: Wire | None = None
        self._reader: Reader | None = None

    def guarantee(self) -> Guarantee:
        if self._subjects:
            return Guarantee(
                "lossy",
                "Core NATS keeps nothing: what is published while evdebug is not listening, or "
                "reads too slowly, is lost, and told as a gap.",
            )
        return Guarantee(
            "exactly_once",
            "Every message of the stream exactly once, also after a crash. What limits removed "
            "before it was read is told as a gap. Deliveries are exact for each event while "
            "evdebug listens; what was acknowledged while it did not has a span of time.",
        )

    def place(self) -> str:
        return f"{self._url.shown} · {self._stream or ', '.join(self._subjects)}"

    def check(self) -> Checked:
        wire = None
        try:
            wire = Wire(self._url, self._around)
            return self._looked_at(wire)
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            if wire is not None:
                wire.close()

    def _looked_at(self, wire: Wire) -> Checked:
        lines = [Line("ok", f"NATS {wire.server.get('version', '')} answers at {wire.shown}.")]
        if self._subjects:
            words = "Whether anybody publishes there cannot be seen without listening."
            return Checked([*lines, Line("note", words)])
        info = wire.ask(f"$JS.API.STREAM.INFO.{self._stream}")
        if not info:
            return Checked([*lines, Line("problem", f"There is no stream {self._stream}.")])
        try:
            suitable(info)
        except Refused as error:
            return Checked([*lines, Line("problem", str(error))])
        state = info["state"]
        words = (
            f"{self._stream}: {state['messages']:,} messages, {state['consumer_count']} consumers."
        )
        return Checked([*lines, Line("ok", words)], self._sample(wire, info))

    def _sample(self, wire: Wire, info: dict[str, Any]) -> list[Record]:
        state, found = info["state"], []
        for sequence in range(
            max(state["last_seq"] - SAMPLES + 1, state["first_seq"]), state["last_seq"] + 1
        ):
            got = wire.ask(f"$JS.API.STREAM.MSG.GET.{self._stream}", {"seq": sequence})
            if got:
                found.append(record(self._stream, "", got["message"]))
        return found

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._wire = Wire(self._url, self._around)
        if self._subjects:
            self._reader = Subjects(self._wire, self._subjects, cursor)
        else:
            self._reader = Stream(self._wire, self._stream, self._consumers, cursor, self._start)

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._reader is not None, "read before open"
        return self._reader.read(limit, wait)

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag:
        return self._reader.lag() if self._reader else Lag()

    def close(self) -> None:
        reader, wire, self._reader, self._wire = self._reader, self._wire, None, None
        if reader is not None:
            reader.close()
        if wire is not None:
            wire.close()


class Subjects:
    """What is published on core subjects while we listen."""

    def __init__(self, wire: Wire, subjects: list[str], cursor: Cursor) -> None:
        self._wire = wire
        self._sids = {wire.subscribe(subject) for subject in subjects}
        self._gaps = [
            Gap(channel=subject, cause="disconnected", at=_now(),
                words="Nobody listened for a while; what was published then is lost.")
            for subject in subjects if LISTENED in cursor
        ]  # fmt: skip
        self._first = LISTENED not in cursor
        wire.flush()

    def read(self, limit: int, wait: float) -> Batch:
        records: list[Record] = []
        size, until = 0, time.monotonic() + wait
        while len(records) < limit and size < BYTES:
            message = self._wire.next(0 if records else max(until - time.monotonic(), 0))
            if message is None:
                break
            if message.sid not in self._sids:
                continue
            heads = headers(message.head)
            records.append(Record(
                body=message.body, channel=message.subject, headers=heads, time=_now(),
                content_type=content_type(heads),
                facts={"reply": message.reply} if message.reply else {},
            ))  # fmt: skip
            size += len(message.body)
        gaps, self._gaps = self._gaps, []
        if not records and not gaps and not self._first:
            return Batch()
        self._first = False
        return Batch(records, gaps=gaps, cursor={LISTENED: str(_now())})

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        """Closing the connection ends the subscriptions."""


def _now() -> int:
    return time.time_ns() // 1000
