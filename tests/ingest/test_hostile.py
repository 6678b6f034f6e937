"""The table of hostile input against a running server: same verdict as the decoder's, no harm."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest import hostile
from tests.ingest.asking import Answer, post
from tests.ingest.hostile import Case
from tests.running import Evdebug, System


@pytest.fixture(scope="module")
def system(server: Evdebug) -> Iterator[System]:
    yield server.default
    # After all of it the log is whole, and the server as it was.
    server.manage("verify", "test")
    said = server.said()
    assert "Traceback" not in said, said


@pytest.mark.parametrize("case", hostile.EVENTS, ids=str)
def test_events(case: Case, system: System) -> None:
    check(case, system, "/v1/events")


@pytest.mark.parametrize("case", hostile.DELIVERIES, ids=str)
def test_deliveries(case: Case, system: System) -> None:
    check(case, system, "/v1/deliveries")


def check(case: Case, system: System, path: str) -> None:
    answer = post(
        system.server, path, case.body, key=system.ingest_key, content_type=case.content_type,
        headers=case.headers,
    )  # fmt: skip
    assert answer.status == case.status, answer.body
    assert answer.headers["content-type"] == "application/json"
    if case.status != 200:
        assert answer.code == case.code
        return
    report = answer.json
    positions = [position for position in report["positions"] if position is not None]
    assert report["received"] == len(report["positions"])
    assert report["received"] == report["stored"] + report["duplicates"] + report["rejected"]
    problems = report.get("problems", [])
    assert len(problems) == report["rejected"]
    assert (problems[0]["code"] if problems else "") == case.code
    if case.kept is not None:
        assert len(positions) == case.kept
    if case.data is not None:
        assert exact(system, positions[-1]) == case.data
    if case.fields:
        status, event = system.get(f"events/{positions[-1]}")
        assert status == 200
        for name, value in case.fields.items():
            assert event[name] == value


def exact(system: System, position: int) -> bytes:
    """Return the exact bytes of an event's data, as the API gives them."""
    answer = post(
        system.server, f"/api/v1/{system.slug}/events/{position}/data", b"", key=system.read_key,
        content_type=None, method="GET",
    )  # fmt: skip
    assert answer.status in {200, 204}, answer.body
    return answer.body


def test_bombs_take_no_memory(system: System) -> None:
    """16 bodies of 100 MB each, packed small: the server grows by far less than one of them."""
    before = resident(system.server)
    for case in hostile.ENCODINGS[-2:] * 8:
        answer = send(system, case.body, case.headers)
        assert answer.status == 413
    assert resident(system.server) - before < 100_000_000


def test_arrays_of_nothing_take_no_memory(system: System) -> None:
    before = resident(system.server)
    for case in (c for c in hostile.BODIES if "million" in c.name):
        assert send(system, case.body, (), case.content_type or "").status == 413
    assert resident(system.server) - before < 200_000_000


def send(
    system: System, body: bytes, headers: tuple[tuple[str, str], ...],
    content_type: str = hostile.STRUCTURED,
) -> Answer:  # fmt: skip
    return post(
        system.server, "/v1/events", body, key=system.ingest_key, content_type=content_type,
        headers=headers,
    )  # fmt: skip


def resident(server: Evdebug) -> int:
    """Return the bytes of memory the server's process takes now."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


NAMES = ["id", "source", "type", "stream", "correlation", "causation", "channel", "key"]
TEXTS = [
    "<script>alert(1)</script>", "javascript:alert(1)", "{{7*7}}", "<!--", "]]>", "\x1b[31m\x07",
    "\u202eevil", "../../etc/passwd", "'; DROP TABLE eventlog_event; --", "%00", "é" * 500,
    "e\u0301", "é", "\U0001f600", " ", "\n", "=cmd()", "__proto__", "null", "0", "NaN",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_text_goes_through_any_name_unchanged(name: str, system: System) -> None:
    events = [{"type": "t", "source": "/names", name: text} for text in TEXTS]

    _, report = system.send(*events)

    assert report["stored"] == len(TEXTS), report
    for text, position in zip(TEXTS, report["positions"], strict=True):
        assert system.get(f"events/{position}")[1][name] == text


def test_a_batch_sent_again_is_the_same(system: System) -> None:  # B18
    batch = [{"type": "t", "id": "b18-1"}, {"id": "b18-2"}, {"type": "t", "id": "b18-1"}]

    (_, first), (_, again) = system.send(*batch), system.send(*batch)

    assert (first["stored"], first["duplicates"], first["rejected"]) == (1, 1, 1)
    assert (again["stored"], again["duplicates"], again["rejected"]) == (0, 2, 1)
    assert first["positions"] == again["positions"]
    assert first["problems"] == again["problems"]


def test_the_same_id_with_other_content_is_kept_and_flagged(system: System) -> None:  # B22
    _, before = system.send({"type": "t", "id": "b22", "data": 1})
    first = before["positions"][0]
    _, report = system.send({"type": "t", "id": "b22", "data": 2}, {"type": "t", "id": "fine"})

    assert report["stored"] == 2
    assert report["conflicts"] == [{"index": 0, "conflicts_with": first}]
    later = system.get(f"events/{report['positions'][0]}")[1]
    assert later["conflicts_with"] == first


def test_composed_and_decomposed_ids_are_two(system: System) -> None:  # B23
    _, report = system.send({"type": "t", "id": "é-b23"}, {"type": "t", "id": "e\u0301-b23"})
    assert report["stored"] == 2


def test_nothing_foreign_is_in_the_servers_own_log(system: System) -> None:
    marker = "marker-4711"
    send(system, json.dumps({"specversion": marker, "id": marker}).encode(), (("X-M", marker),))
    post(system.server, f"/v1/{marker}", b"", key=marker)
    assert marker not in system.server.said()
