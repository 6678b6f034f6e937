"""Talking AMQP 0-9-1 to RabbitMQ: one connection, one channel, deliveries as they come.

The client library (py-amqp) decodes every property as UTF-8 and raises on what is not, which would
let one odd message stop a tap for good; and it asks the kernel for each frame's few bytes. So its
frames are put together here.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from struct import Struct, unpack_from
from typing import Any, NamedTuple

import amqp
from amqp import exceptions
from amqp.basic_message import Message
from amqp.serialization import decode_properties_basic

from apps.ingest.broker_url import BrokerUrl, tls_context
from apps.ingest.connector import Refused, Surroundings, Unreachable

CONNECT_S = 10
ANSWER_S = 30
HEARTBEAT_S = 60
CHUNK = 1 << 18
FRAME_LEAST, FRAME_END = 8, 0xCE
PEEK = "peek"  # tag of a consumer that only looks
QUIET_S = 0.2
DELIVER = (60, 60)
WITH_CONTENT = {(60, 50), (60, 60), (60, 71)}
REFUSALS = (
    exceptions.AccessRefused, exceptions.NotAllowed, exceptions.NotFound,
    exceptions.PreconditionFailed, exceptions.ResourceLocked,
)  # fmt: skip


Frame = tuple[int, int, bytes]  # its kind, channel and content
_head = Struct(">BHI").unpack_from


class Given(NamedTuple):
    """One delivery."""

    consumer: str
    tag: int
    redelivered: bool
    exchange: str
    key: str
    properties: dict[str, Any]
    body: bytes


class Wire:
    """A connection to one virtual host."""

    def __init__(self, url: BrokerUrl, around: Surroundings) -> None:
        """Connect and sign in.  raises  Unreachable, Refused"""
        self.shown, self.vhost = url.shown, url.path or "/"
        self.given: deque[Given] = deque()
        self.cancelled: set[str] = set()
        self._ticked = time.monotonic()
        error: Exception = Unreachable(f"RabbitMQ at {self.shown} has no address.")
        for address in around.reach(url.host, url.port):
            try:
                self._connect(url, address, around)
                return
            except Unreachable as failed:
                error = failed
        raise error

    def _connect(self, url: BrokerUrl, address: str, around: Surroundings) -> None:
        host = f"[{address}]" if ":" in address else address
        tls = {"context": tls_context(), "server_hostname": url.host}
        self._connection: Any = _Connection(
            f"{host}:{url.port}", userid=url.user or "guest", password=url.password or "guest",
            virtual_host=self.vhost, connect_timeout=CONNECT_S, read_timeout=ANSWER_S,
            write_timeout=ANSWER_S, heartbeat=HEARTBEAT_S, frame_handler=self._frames,
            ssl=tls if url.scheme == "amqps" else False,
            client_properties={"connection_name": f"evdebug {around.name}"},
        )  # fmt: skip
        with self._mended():
            self._connection.connect()
            self._connection.read_ahead()
            self.channel = self._connection.channel()
            self.others = self._connection.channel()  # its acknowledgements are apart

    def _frames(self, connection: Any, callback: Callable[..., None]) -> Callable[[Any], bool]:
        """Return what puts frames together: as the library does, but for deliveries."""
        waiting: dict[int, Message] = {}

        def on_frame(frame: tuple[int, int, bytes]) -> bool:
            kind, channel, data = frame
            connection.bytes_recv += 1
            if kind == 8:
                return False
            if kind == 1:
                method = unpack_from(">HH", data, 0)
                if method not in WITH_CONTENT:
                    callback(channel, method, data, None)
                    return True
                waiting[channel] = _Tolerant(frame_method=method, frame_args=data)
                return False
            message = waiting[channel]
            if kind == 2:
                message.inbound_header(data)
            else:
                message.inbound_body(data)
            if not message.ready:
                return False
            del waiting[channel]
            if message.frame_method == DELIVER:
                self.given.append(_given(message))
            else:
                callback(channel, message.frame_method, message.frame_args, message)
            return True

        return on_frame

    def next(self, wait: float) -> Given | None:
        """Return the next delivery, None when there is none for `wait` seconds."""
        until = time.monotonic() + wait
        while not self.given:
            if not self._heard(until):
                self._tick()
                return None
            if time.monotonic() >= until and not self.given and not self._connection.ahead.left:
                return None
        return self.given.popleft()

    def _heard(self, until: float) -> bool:
        """Take what the broker says next; return False where it says nothing until then."""
        left = max(until - time.monotonic(), 0.0005)  # zero would ask for a frame half there
        try:
            with self._mended():
                self._connection.drain_events(timeout=left)
        except TimeoutError:
            return time.monotonic() < until
        return True

    def peek(self, stream: str, start: str, limit: int, patience: float) -> list[Given]:
        """Return up to `limit` messages of a stream from `start` on, and acknowledge none.

        It waits as long as its patience for the first, and then until none came for a moment.
        """
        with self._mended():
            channel = self._connection.channel()
            channel.basic_qos(0, limit, False)
            arguments = {"x-stream-offset": start}
            channel.basic_consume(stream, PEEK, callback=_unused, arguments=arguments)
        until = latest = time.monotonic() + patience
        count = 0
        while time.monotonic() < until:
            self._heard(until)
            if (now := sum(g.consumer == PEEK for g in self.given)) > count:
                until, count = min(time.monotonic() + QUIET_S, latest), now
        with self._mended():
            channel.close()
        found = [g for g in self.given if g.consumer == PEEK]
        self.given = deque(g for g in self.given if g.consumer != PEEK)
        return found

    def _tick(self) -> None:
        if time.monotonic() - self._ticked > HEARTBEAT_S / 4:
            self._ticked = time.monotonic()
            with self._mended():
                self._connection.heartbeat_tick()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the channel.  raises  Unreachable, Refused"""
        with self._mended():
            return getattr(self.channel, method)(*args, **kwargs)

    def exists(self, queue: str) -> bool:
        """Return whether there is such a queue."""
        try:
            self.call("queue_declare", queue, passive=True)
        except Refused as refused:
            if "NOT_FOUND" not in str(refused) and "404" not in str(refused):
                raise
            with self._mended():
                self.channel = self._connection.channel()  # the broker closes it on an error
            return False
        return True

    def consume(self, queue: str, tag: str, *, apart: bool = False, **arguments: Any) -> None:
        """Have a queue's messages come as `given`; `apart`: acknowledged on `others`."""
        channel = self.others if apart else self.channel
        with self._mended():
            channel.basic_consume(queue, tag, on_cancel=self._gone, callback=_unused, **arguments)

    def cancel_other(self, tag: str, *, drop: bool = True) -> None:
        """End what was consumed apart; what is on its way of it is dropped, or still given."""
        with self._mended():
            self.others.basic_cancel(tag)
        if drop:
            self.given = deque(g for g in self.given if g.consumer != tag)

    def acknowledge_others(self, tag: int) -> None:
        """Acknowledge what was consumed apart, up to a tag."""
        with self._mended():
            self.others.basic_ack(tag, multiple=True)

    def _gone(self, tag: str) -> None:
        self.cancelled.add(tag)

    def close(self) -> None:
        """End the connection; what was not acknowledged goes back to its queue."""
        with suppress(Exception):
            self._connection.close()
        with suppress(Exception):
            self._connection.collect()

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Say with our errors what the broker or the network says."""
        try:
            yield
        except TimeoutError:
            raise
        except REFUSALS as error:
            raise Refused(f"RabbitMQ at {self.shown} refuses: {_said(error)}") from None
        except (exceptions.AMQPError, OSError, ssl.SSLError) as error:
            raise Unreachable(
                f"RabbitMQ at {self.shown} cannot be talked to: {_said(error)}"
            ) from None


class Ahead:
    """Bytes read ahead, and the whole frames among them."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._data, self._at = b"", 0

    @property
    def left(self) -> int:
        """How many bytes were read and not taken."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """Return at most `count` bytes, waiting for some where there are none."""
        if self._at >= len(self._data):
            self._data, self._at = self._receive(CHUNK), 0
        found = self._data[self._at : self._at + count]
        self._at += len(found)
        return found

    def frame(self) -> Frame | None:
        """Take the next frame if all of it is here and it ends as frames do."""
        if self.left < FRAME_LEAST:
            return None
        kind, channel, size = _head(self._data, self._at)
        begin = self._at + 7
        end = begin + size
        if end >= len(self._data) or self._data[end] != FRAME_END:
            return None
        self._at = end + 1
        return kind, channel, self._data[begin:end]


class _Connection(amqp.Connection):  # type: ignore[misc]
    """The library's, but a frame that is here already is taken as it is."""

    def read_ahead(self) -> None:
        """Begin to read as much at once as there is."""
        self.ahead = Ahead(self.transport._quick_recv)
        self.transport._quick_recv = self.ahead.take

    def blocking_read(self, timeout: float | None = None) -> Any:
        ahead = getattr(self, "ahead", None)
        # What the library has of a frame it reads on itself.
        frame = ahead.frame() if ahead and not self.transport._read_buffer else None
        return self.on_inbound_frame(frame) if frame else super().blocking_read(timeout)


class _Tolerant(Message):  # type: ignore[misc]
    """A message whose properties may be no UTF-8."""

    def _load_properties(self, class_id: int, buf: bytes, offset: int) -> int:
        try:
            self.properties, offset = decode_properties_basic(buf, offset)
        except Exception:  # whatever a stranger put there
            self.properties = {"unreadable": bytes(buf[offset:])}
        return offset


def _given(message: Message) -> Given:
    data, at = message.frame_args, 4
    consumer, at = _short(data, at)
    tag, redelivered = unpack_from(">QB", data, at)
    exchange, at = _short(data, at + 9)
    key, _ = _short(data, at)
    return Given(
        consumer, tag, bool(redelivered & 1), exchange, key, message.properties,
        bytes(message.body) if message.body_size else b"",
    )  # fmt: skip


def _short(data: bytes, at: int) -> tuple[str, int]:
    stop = at + 1 + data[at]
    return bytes(data[at + 1 : stop]).decode("utf-8", "backslashreplace"), stop


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _unused(message: Any) -> None:
    """Deliveries never come this way: `_frames` takes them."""
