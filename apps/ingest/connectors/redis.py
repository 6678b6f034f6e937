"""Redis: streams read by XREAD, or pub/sub; consumer groups are looked at, never joined."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
    Setting,
    Surroundings,
    TapError,
)
from apps.ingest.connectors.redis_entries import entries, record
from apps.ingest.connectors.redis_streams import Streams
from apps.ingest.connectors.redis_wire import Wire

PORTS = {"redis": 6379, "rediss": 6379}
SAMPLES = 3
BYTES = 8 * 1024 * 1024
LISTENED = "listened"  # lane of the cursor: until when we listened to channels, in µs


class Reader(Protocol):
    """What reads over an open connection."""

    def read(self, limit: int, wait: float) -> Batch: ...

    def lag(self) -> Lag: ...


class Redis:
    """Streams or channels of one Redis database."""

    bus: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True, secret=True,
                help="redis://user:password@host:6379/0, or rediss:// for TLS"),
        Setting("streams", "Streams", kind="list", help="keys of streams"),
        Setting("channels", "Channels", kind="list",
                help="channels of pub/sub, or patterns such as orders.*"),
        BEGIN,
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._streams: list[str] = settings["streams"]
        self._channels: list[str] = settings["channels"]
        self._start = settings["start"]
        self.rewinds = bool(self._streams)
        self._around = around
        if bool(self._streams) == bool(self._channels):
            raise BadSettings("give either the setting streams or the setting channels")
        if self._url.path and not self._url.path.isdecimal():
            raise BadSettings("setting url ends with the number of a database; expected …:6379/0")
        self._wire: Wire | None = None
        self._reader: Reader | None = None

    def guarantee(self) -> Guarantee:
        if self._channels:
            return Guarantee(
                "lossy",
                "Redis keeps nothing of what is published on channels: what is said while "
                "evdebug is not listening, or reads too slowly, is lost, and told as a gap.",
            )
        return Guarantee(
            "exactly_once",
            "Every entry exactly once, also after a crash. What is trimmed or deleted before it "
            "was read is told as a gap. Deliveries are exact for each entry of a group; their "
            "times lie between two looks. A read with NOACK counts as handled.",
        )

    def place(self) -> str:
        return f"{self._url.shown} · {', '.join(self._streams or self._channels)}"

    def check(self) -> Checked:
        try:
            wire = Wire(self._url, self._around)
        except TapError as error:
            return Checked([Line("problem", str(error))])
        try:
            return self._looked_at(wire)
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            wire.close()

    def _looked_at(self, wire: Wire) -> Checked:
        lines, sample = [Line("ok", f"Redis answers at {wire.shown}.")], []
        for key in self._streams:
            kind = wire.ask("TYPE", key)
            if kind == b"none":
                lines.append(Line("note", f"There is no stream {key} yet; it is read once there."))
            elif kind != b"stream":
                lines.append(Line("problem", f"{key} is a {kind.decode()}, not a stream."))
            else:
                groups = len(wire.ask("XINFO", "GROUPS", key))
                count = wire.ask("XLEN", key)
                lines.append(Line("ok", f"{key}: {count:,} entries, {groups} consumer groups."))
                last = entries(wire.ask("XREVRANGE", key, "+", "-", "COUNT", SAMPLES))
                sample += [record(key, "", entry, fields) for entry, fields in reversed(last)]
        for channel in self._channels:
            ((_, count),) = _pairs(wire.ask("PUBSUB", "NUMSUB", channel))
            lines.append(Line("note", f"{channel}: {count} others subscribe to exactly this."))
        return Checked(lines, sample)

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._wire = Wire(self._url, self._around)
        if self._channels:
            self._reader = Channels(self._wire, self._channels, cursor)
        else:
            self._reader = Streams(self._wire, self._streams, cursor, self._start)

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._reader is not None, "read before open"
        return self._reader.read(limit, wait)

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag:
        return self._reader.lag() if self._reader else Lag()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = self._reader = None


class Channels:
    """What is published on channels while we listen."""

    def __init__(self, wire: Wire, names: list[str], cursor: Cursor) -> None:
        self._wire = wire
        self._gaps = [
            Gap(channel=name, cause="disconnected", at=_now(),
                words="Nobody listened for a while; what was published then is lost.")
            for name in names if LISTENED in cursor
        ]  # fmt: skip
        self._first = LISTENED not in cursor
        patterns = [name for name in names if _is_pattern(name)]
        exact = [name for name in names if not _is_pattern(name)]
        if patterns:
            wire.send("PSUBSCRIBE", *patterns)
        if exact:
            wire.send("SUBSCRIBE", *exact)
        for _ in names:
            while wire.next(1) is None:
                pass

    def read(self, limit: int, wait: float) -> Batch:
        records: list[Record] = []
        size, until = 0, time.monotonic() + wait
        while len(records) < limit and size < BYTES:
            said = self._wire.next(0 if records else max(until - time.monotonic(), 0))
            if said is None:
                break
            if said[0] not in (b"message", b"pmessage"):
                continue
            channel = said[-2].decode("utf-8", "backslashreplace")
            records.append(Record(body=said[-1], channel=channel, time=_now()))
            size += len(said[-1])
        gaps, self._gaps = self._gaps, []
        if not records and not gaps and not self._first:
            return Batch()
        self._first = False
        return Batch(records, gaps=gaps, cursor={LISTENED: str(_now())})

    def lag(self) -> Lag:
        return Lag()


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _now() -> int:
    return time.time_ns() // 1000
