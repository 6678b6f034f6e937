"""Messages as MQTT's packets have them, beside what paho's own client reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from apps.ingest.connectors.mqtt_message import Malformed, message

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def packet(topic: bytes, qos: int, payload: bytes, properties: bytes) -> bytes:
    mid = b"\x12\x34" if qos else b""
    return len(topic).to_bytes(2, "big") + topic + mid + properties + payload


def packed(**said: Any) -> bytes:
    made: Any = Properties(PacketTypes.PUBLISH)
    for name, value in said.items():
        setattr(made, name, value)
    return bytes(made.pack())


@given(
    topic=texts.filter(bool), qos=st.integers(0, 1), flags=st.sampled_from([0, 1, 8, 9]),
    payload=st.binary(max_size=40), five=st.booleans(),
    said=st.fixed_dictionaries({}, optional={
        "ContentType": texts, "CorrelationData": st.binary(max_size=9),
        "UserProperty": st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
    }),
)  # fmt: skip
def test_all_is_read_as_paho_reads_it(
    topic: str, qos: int, flags: int, payload: bytes, five: bool, said: dict[str, Any]
) -> None:
    version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    raw = packet(topic.encode(), qos, payload, packed(**said) if five else b"")
    command = 0x30 | qos << 1 | flags
    theirs, ours = decode_publish(command, raw, version), message(command, raw, five=five)
    assert (ours.topic.encode(), ours.payload) == (theirs.topic, theirs.payload)
    assert (ours.qos, ours.mid) == (theirs.qos, theirs.mid)
    assert (ours.dup, ours.retain) == (theirs.dup, theirs.retain)
    found = {name: ours.said[name] for name in said if name in ours.said}
    assert found == (said if five else {})


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0", b"\0\x09topic", b"\0\x01t\x12", b"\0\x01t\x12\x34", b"\0\x01t\x12\x34\x05",
     b"\0\x01t\x12\x34\x02\x7f\x01", b"\0\x01t\x12\x34\x09\x03\x00\x09x"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_message_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        message(0x32, raw, five=True)


def test_a_topic_that_is_no_text_can_be_shown() -> None:
    assert message(0x30, packet(b"a/\xff", 0, b"x", b""), five=False).topic == "a/\\xff"
