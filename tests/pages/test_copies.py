from __future__ import annotations

import json
import shlex

from apps.ingest import encode
from apps.pages.copies import cloudevent, curl
from tests.factories import recorded


def test_it_is_what_the_export_writes() -> None:
    event = recorded(7, data=b'{"total": 129.00, "name": "Z\xc3\xbcrich"}', stream="order-1")
    assert cloudevent(event).encode() == encode.cloudevent(event)
    assert '"total": 129.00' in cloudevent(event)  # the producer's own digits


def test_a_command_is_safe_to_paste() -> None:
    evil = "'; rm -rf / #`$(reboot)`\x1b[2J\x7f\u202e"
    event = recorded(1, type=evil, stream=evil, data={"x": evil})
    command = curl(event, "http://127.0.0.1:8000/v1/events")
    assert all(" " <= c <= "~" or c == "\n" for c in command)
    words = shlex.split(command)
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/events"]
    sent = json.loads(words[words.index("--data-raw") + 1])
    assert (sent["type"], sent["subject"], sent["data"]) == (evil, evil, {"x": evil})
