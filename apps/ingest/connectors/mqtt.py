"""MQTT: a session of our own that the broker keeps for a while; acknowledged when stored."""

from __future__ import annotations

import secrets
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
    Gap,
    Guarantee,
    Lag,
    Line,
    Record,
    Setting,
    Surroundings,
    TapError,
)
from apps.ingest.connectors.mqtt_message import Message
from apps.ingest.connectors.mqtt_session import EXPIRES_S, Session
from apps.ingest.unsettled import Unsettled

PORTS = {"mqtt": 1883, "mqtts": 8883}
BYTES = 8 * 1024 * 1024
SAMPLE_S = 0.3
SESSION = "session"  # lane of the cursor: what ours listens to, a line each


class Mqtt:
    """Topics of one broker."""

    bus: ClassVar[str] = "mqtt"
    title: ClassVar[str] = "MQTT"
    rewinds: ClassVar[bool] = False
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True, secret=True,
                help="mqtt://user:password@host:1883, or mqtts:// for TLS"),
        Setting("topics", "Topics", kind="list", required=True,
                help="topics or filters such as orders/#"),
        Setting("version", "Protocol", kind="choice", default="5", choices=("5", "3.1.1"),
                help="5, or 3.1.1 for brokers that know no other"),
        BEGIN,
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url = broker_url.parse(settings["url"], PORTS)
        self._topics: list[str] = settings["topics"]
        self._version: str = settings["version"]
        self._start: str | datetime = settings["start"]
        self._around = around
        if shared := [t for t in self._topics if t.startswith("$share/")]:
            raise BadSettings(
                f"setting topics holds {shared[0]}: a shared subscription would take messages "
                "from the others; give the filter alone"
            )
        self._session: Session | None = None

    def guarantee(self) -> Guarantee:
        kept = (
            f"for {EXPIRES_S // 60} minutes"
            if self._version == "5"
            else "for as long as it likes, as MQTT 3.1.1 has no way to say how long"
        )
        return Guarantee(
            "at_least_once",
            "Messages of QoS 1 and 2 once, also after a crash; those of QoS 0 may be lost on the "
            f"way. While evdebug is away the broker keeps them {kept}, and only as many as it is "
            "set up for: what it drops beyond that nobody can see.",
        )

    def place(self) -> str:
        return f"{self._url.shown} · {', '.join(self._topics)}"

    def check(self) -> Checked:
        session = None
        try:
            name = f"evdebug-check-{secrets.token_hex(4)}"
            session = Session(self._url, self._around, self._version, name, kept=False)
            session.subscribe(self._topics, retained=True)
            session.loop(SAMPLE_S)
            sample = [_record(m) for m in session.came][-3:]
            words = "What is published is only seen while it comes."
            there = Line("ok", f"The broker answers at {self._url.shown}.")
            return Checked([there, Line("note", words)], sample)
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            if session is not None:
                session.close()

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._session = session = Session(
            self._url, self._around, self._version, f"evdebug-{self._around.name}", kept=True
        )
        self._unsettled = Unsettled(cursor)
        self._gaps: list[Gap] = []
        self._first = SESSION not in cursor
        if not session.present and not self._first:
            self._gaps = [_expired(topic) for topic in self._topics]
        known = cursor.get(SESSION, "").split("\n") if session.present else []
        # One that was killed before its first commit may have a session that listens to nothing.
        if new := [topic for topic in self._topics if topic not in known]:
            session.subscribe(new, retained=self._start == "beginning")
        session.unsubscribe([topic for topic in known if topic and topic not in self._topics])

    def leave(self) -> None:
        """End the session the broker keeps for us."""
        name = f"evdebug-{self._around.name}"
        Session(self._url, self._around, self._version, name, kept=False).close()

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._session is not None, "read before open"
        came, until = self._session.came, time.monotonic() + wait
        gaps, self._gaps = self._gaps, []
        while not came and not gaps and (left := until - time.monotonic()) > 0:
            self._session.loop(left)
        if len(came) < limit:
            self._session.loop(0)
        records: list[Record] = []
        taken: list[Message] = []
        size = 0
        while came and len(records) < limit and size < BYTES:
            message = came.popleft()
            found = _record(message)
            # Not asked of others: brokers give new messages before what they give again.
            if message.dup and self._unsettled.again(found, redelivered=True):
                found = msgspec.structs.replace(found, again=True)
            records.append(found)
            taken.append(message)
            size += len(message.payload)
        if not records and not gaps and not self._first:
            return Batch()
        self._first = False
        kept = [r for r, m in zip(records, taken, strict=True) if m.qos and not r.again]
        cursor = {**self._unsettled.cursor(kept), SESSION: "\n".join(self._topics)}
        return Batch(records, gaps=gaps, cursor=cursor, token=taken or None)

    def settle(self, batch: Batch) -> None:
        assert self._session is not None, "settle before open"
        if batch.token:
            self._session.acknowledge(batch.token)

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _record(message: Message) -> Record:
    said = message.said
    facts: dict[str, Any] = {"qos": message.qos}
    if message.retain:
        facts["retained"] = True
    if said.get("CorrelationData"):
        facts["correlation_id"] = bytes(said["CorrelationData"]).decode("utf-8", "backslashreplace")
    if said.get("ResponseTopic"):
        facts["reply_to"] = said["ResponseTopic"]
    return Record(
        body=message.payload, channel=message.topic, facts=facts,
        headers=tuple((n, v.encode()) for n, v in said.get("UserProperty", ())),
        content_type=said.get("ContentType", ""), time=None,
    )  # fmt: skip


def _expired(topic: str) -> Gap:
    return Gap(
        channel=topic, cause="disconnected", at=time.time_ns() // 1000,
        words="The broker has not kept evdebug's session; what was published meanwhile is lost.",
    )  # fmt: skip
