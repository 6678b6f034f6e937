"""MQTT: a session of our own that the broker keeps for a while; acknowledged when stored."""

from __future__ import annotations

import secrets
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from apps.ingest import broker_url
from apps.ingest.broker_url import BrokerUrl
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
    Unreachable,
)
from apps.ingest.unsettled import Unsettled

PORTS = {"mqtt": 1883, "mqtts": 8883}
BYTES = 8 * 1024 * 1024
CONNECT_S = 10
ANSWER_S = 10
SETTLE_S = 30  # for a thousand acknowledgements, each of which may reach the broker's disk
KEEPALIVE_S = 60
EXPIRES_S = 3600  # of our session, once we are away
INFLIGHT = 1000
SAMPLE_S = 0.3
SESSION = "session"  # lane of the cursor: what ours listens to, a line each
NOWHERE = "evdebug/nowhere"  # never subscribed to: leaving it makes the broker answer
REFUSALS = {4, 5, 134, 135, 138, 140}  # credentials and rights, in MQTT 3.1.1 and 5


class Mqtt:
    """Topics of one broker."""

    bus: ClassVar[str] = "mqtt"
    title: ClassVar[str] = "MQTT"
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
        taken: list[MQTTMessage] = []
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


class Session:
    """A connection to a broker, used by one thread."""

    def __init__(
        self, url: BrokerUrl, around: Surroundings, version: str, client_id: str, *, kept: bool
    ) -> None:
        """Connect and sign in.  raises  Unreachable, Refused"""
        self._shown, self._five = url.shown, version == "5"
        self.came: deque[MQTTMessage] = deque()
        self.present = False
        self._code: int | None = None
        self._answered: set[int] = set()
        self._client = client = _Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, manual_ack=True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._five else not kept,
        )  # fmt: skip
        client.addresses = around.reach(url.host, url.port)
        client.on_connect = self._connected
        client.on_message = lambda _client, _data, message: self.came.append(message)
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = lambda _c, _d, mid, *_: self._answered.add(mid)
        if url.user:
            client.username_pw_set(url.user, url.password or None)
        if url.scheme == "mqtts":
            client.tls_set_context(broker_url.tls_context())
        client.connect_timeout = CONNECT_S
        try:
            self._sign_in(url, kept=kept)
        except BaseException:
            self.close()
            raise

    def _sign_in(self, url: BrokerUrl, *, kept: bool) -> None:
        options: dict[str, Any] = {}
        if self._five:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = INFLIGHT
            properties.SessionExpiryInterval = EXPIRES_S if kept else 0
            options = {"clean_start": not kept, "properties": properties}
        try:
            self._client.connect(url.host, url.port, KEEPALIVE_S, **options)
        except (OSError, ValueError) as error:
            raise Unreachable(f"The broker at {self._shown} cannot be reached: {error}") from None
        self._until(lambda: self._code is not None)
        if self._code in REFUSALS:
            raise Refused(f"The broker at {self._shown} refuses these credentials.")
        if self._code:
            raise Unreachable(f"The broker at {self._shown} refuses the connection: {self._code}.")

    def _connected(self, _client: Any, _data: Any, flags: Any, code: Any, _p: Any) -> None:
        self.present, self._code = flags.session_present, code.value

    def _subscribed(self, _client: Any, _data: Any, mid: int, codes: Any, _p: Any) -> None:
        self._answered.add(mid)
        self._refused = [str(code) for code in codes if code.is_failure]

    def subscribe(self, topics: Sequence[str], *, retained: bool) -> None:
        """Listen to topics, with what the broker holds of them or without."""
        if self._five:
            # 1: what is retained comes with a subscription that is new, 2: it does not
            options = SubscribeOptions(qos=1, retainHandling=1 if retained else 2)
            _, mid = self._client.subscribe([(topic, options) for topic in topics])
        else:
            _, mid = self._client.subscribe([(topic, 1) for topic in topics])
        self._until(lambda: mid in self._answered)
        if self._refused:
            raise Refused(f"The broker at {self._shown} refuses to subscribe: {self._refused[0]}.")

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Listen to topics no longer."""
        if topics:
            _, mid = self._client.unsubscribe(list(topics))
            self._until(lambda: mid in self._answered)

    def acknowledge(self, messages: Sequence[MQTTMessage]) -> None:
        """Tell the broker that messages are stored, and return once it knows."""
        for message in messages:
            if message.qos:
                self._client.ack(message.mid, message.qos)
        _, mid = self._client.unsubscribe(NOWHERE)
        self._until(lambda: mid in self._answered, SETTLE_S)
        self._answered.clear()

    def _until(self, done: Any, patience: float = ANSWER_S) -> None:
        until = time.monotonic() + patience
        while not done():
            if time.monotonic() > until:
                raise Unreachable(f"The broker at {self._shown} does not answer.")
            self.loop(0.5)

    def loop(self, wait: float) -> None:
        """Read and write for `wait` seconds at most.  raises  Unreachable"""
        code = self._client.loop(wait)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not self._code:
            said = getattr(code, "name", code)
            raise Unreachable(f"The broker at {self._shown} closed the connection ({said}).")

    def close(self) -> None:
        """Leave; the broker keeps the session for its time."""
        with suppress(Exception):
            self._client.disconnect()
            self._client.loop(0.1)


class _Client(Client):
    addresses: Sequence[str] = ()

    def _create_socket_connection(self) -> socket.socket:
        error = OSError("it has no address")
        for address in self.addresses:
            try:
                return socket.create_connection((address, self._port), timeout=CONNECT_S)
            except OSError as failed:
                error = failed
        raise error


def _record(message: MQTTMessage) -> Record:
    properties = getattr(message, "properties", None)
    said = vars(properties) if properties is not None else {}
    facts: dict[str, Any] = {"qos": message.qos}
    if message.retain:
        facts["retained"] = True
    if said.get("CorrelationData"):
        facts["correlation_id"] = bytes(said["CorrelationData"]).decode("utf-8", "backslashreplace")
    if said.get("ResponseTopic"):
        facts["reply_to"] = said["ResponseTopic"]
    return Record(
        body=bytes(message.payload), channel=message.topic, facts=facts,
        headers=tuple((n, v.encode()) for n, v in said.get("UserProperty", ())),
        content_type=said.get("ContentType", ""), time=None,
    )  # fmt: skip


def _expired(topic: str) -> Gap:
    return Gap(
        channel=topic, cause="disconnected", at=time.time_ns() // 1000,
        words="The broker has not kept evdebug's session; what was published meanwhile is lost.",
    )  # fmt: skip
