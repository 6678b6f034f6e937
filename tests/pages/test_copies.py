from __future__ import annotations

import base64
import json
import shlex

from apps.pages.copies import cloudevent, curl
from tests.factories import recorded


def test_it_works() -> None:
    event = recorded(
        7, stream="order-1", correlation="c-1",
        data=b'{"total": 129.00,\n "name": "Z\xc3\xbcrich"}',
        metadata=b'{"traceparent":"00-1","x":{"no":1},"Bad Name":"y","id":"forged"}',
    )  # fmt: skip
    text = cloudevent(event)
    assert json.loads(text) == {
        "specversion": "1.0", "id": "id-7", "source": "/web", "type": "order.placed",
        "time": "2026-05-12T12:00:07.000Z", "subject": "order-1", "correlationid": "c-1",
        "datacontenttype": "application/json", "traceparent": "00-1",
        "data": {"total": 129.0, "name": "Zürich"},
    }  # fmt: skip
    assert '"total": 129.00' in text  # the producer's own digits
    assert text.isascii()
    assert "\n" not in text


def test_what_is_no_json_is_carried_as_bytes() -> None:
    event = recorded(1, data=b"\x00\xffGIF", content_type="image/gif")
    assert base64.b64decode(json.loads(cloudevent(event))["data_base64"]) == b"\x00\xffGIF"


def test_broken_json_is_carried_as_bytes() -> None:
    assert "data_base64" in json.loads(cloudevent(recorded(1, data=b"{oops")))


def test_an_event_without_data_has_none() -> None:
    assert json.loads(cloudevent(recorded(1, data=b""))).keys().isdisjoint({"data", "data_base64"})
    assert "data" not in json.loads(cloudevent(recorded(1, data=None)))


def test_a_command_is_safe_to_paste() -> None:
    evil = "'; rm -rf / #`$(reboot)`\x1b[2J\x7f\u202e"
    event = recorded(1, type=evil, stream=evil, data={"x": evil})
    command = curl(event, "http://127.0.0.1:8000/v1/events")
    assert all(" " <= c <= "~" or c == "\n" for c in command)
    words = shlex.split(command)
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/events"]
    sent = json.loads(words[words.index("--data-raw") + 1])
    assert (sent["type"], sent["subject"], sent["data"]) == (evil, evil, {"x": evil})
