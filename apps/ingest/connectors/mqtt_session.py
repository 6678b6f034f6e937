"""A session at an MQTT broker: signed in, subscribed, read from and acknowledged by one thread."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from apps.ingest import broker_url
from apps.ingest.broker_url import BrokerUrl
from apps.ingest.connector import Refused, Surroundings, Unreachable
from apps.ingest.connectors.mqtt_message import Malformed, Message, message
from apps.ingest.connectors.mqtt_socket import Buffered

CONNECT_S = 10
ANSWER_S = 10
SETTLE_S = 30  # for a thousand acknowledgements, each of which may reach the broker's disk
KEEPALIVE_S = 60
EXPIRES_S = 3600  # of our session, once we are away
INFLIGHT = 1000
NOWHERE = "evdebug/nowhere"  # never subscribed to: leaving it makes the broker answer
REFUSALS = {4, 5, 134, 135, 138, 140}  # credentials and rights, in MQTT 3.1.1 and 5


class Session:
    """A connection to a broker, used by one thread."""

    def __init__(
        self, url: BrokerUrl, around: Surroundings, version: str, client_id: str, *, kept: bool
    ) -> None:
        """Connect and sign in.  raises  Unreachable, Refused"""
        self._shown, self._five = url.shown, version == "5"
        self.came: deque[Message] = deque()
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
        client.came = self.came.append
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

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that messages are stored, and return once it knows."""
        with self._gathering():
            for message in messages:
                if message.qos:
                    self._client.ack(message.mid, message.qos)
        _, mid = self._client.unsubscribe(NOWHERE)
        self._until(lambda: mid in self._answered, SETTLE_S)
        self._answered.clear()

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """Send what is written in the block at once, where nothing stands between."""
        wire = self._client.socket()
        if not isinstance(wire, Buffered):  # TLS writes records of its own
            yield
            return
        try:
            with wire.gathering(SETTLE_S):
                yield
        except OSError as error:
            raise Unreachable(f"The broker at {self._shown} takes nothing: {error}") from None

    def _until(self, done: Any, patience: float = ANSWER_S) -> None:
        until = time.monotonic() + patience
        while not done():
            if time.monotonic() > until:
                raise Unreachable(f"The broker at {self._shown} does not answer.")
            self.loop(0.5)

    def loop(self, wait: float) -> None:
        """Read and write for `wait` seconds at most.  raises  Unreachable"""
        code = self._client.loop(wait)
        wire = self._client.socket()
        while not code and isinstance(wire, Buffered) and wire.pending():
            code = self._client.loop_read()
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
    came: Callable[[Message], None]

    def _handle_publish(self) -> MQTTErrorCode:
        """Take a message; paho makes its tables of properties anew for each, most of its time."""
        packet = self._in_packet
        try:
            five = self._protocol == MQTTProtocolVersion.MQTTv5
            self.came(message(packet["command"], bytes(packet["packet"]), five=five))
        except Malformed:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _create_socket_connection(self) -> socket.socket:
        error = OSError("it has no address")
        for address in self.addresses:
            try:
                return Buffered(socket.create_connection((address, self._port), timeout=CONNECT_S))
            except OSError as failed:
                error = failed
        raise error
