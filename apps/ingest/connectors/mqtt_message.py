"""A message as a broker sends it to a subscriber: MQTT 5 and 3.1.1, PUBLISH."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, error
from typing import Any

import msgspec
from paho.mqtt import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

NOTHING: Mapping[str, Any] = {}
_short = Struct(">H").unpack_from


class Message(msgspec.Struct, frozen=True, gc=False):
    """What was published. `said` are its properties, by the names of the standard run together."""

    topic: str  # `backslashreplace` what is not UTF-8
    payload: bytes
    qos: int
    mid: int  # what to acknowledge it by, 0 for QoS 0
    dup: bool
    retain: bool
    said: Mapping[str, Any] = NOTHING


class Malformed(ValueError):
    """A packet that is not as the standard has it."""


def message(command: int, packet: bytes, *, five: bool) -> Message:
    """Return the message in a PUBLISH packet; `packet` is what follows its length.

    raises  Malformed
    """
    try:
        return _message(command, packet, five=five)
    except (error, IndexError, KeyError, MQTTException, UnicodeDecodeError) as wrong:
        raise Malformed(str(wrong)) from None


def _message(command: int, packet: bytes, *, five: bool) -> Message:
    qos = command >> 1 & 3
    at = 2 + _short(packet, 0)[0]
    topic = packet[2:at].decode("utf-8", "backslashreplace")
    mid = 0
    if qos:
        mid = _short(packet, at)[0]
        at += 2
    said = NOTHING
    if five:
        if packet[at]:
            # Slow, as paho makes its tables anew each time, and rare.
            properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            at += properties.unpack(packet[at:])[1]
            said = vars(properties)
        else:
            at += 1
    if at > len(packet):
        raise Malformed("it ends too early")
    return Message(topic, packet[at:], qos, mid, bool(command & 8), bool(command & 1), said)
