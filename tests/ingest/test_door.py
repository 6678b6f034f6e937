"""The door in this process: what a client over a socket cannot bring about at will."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from apps.access.queries import keys
from apps.access.queries.keys import KeyGrant
from apps.eventlog.envelope import Envelope
from apps.eventlog.errors import LogUnavailable
from apps.ingest import door, marks
from apps.ingest.answers import Report
from apps.ingest.commands import returning
from apps.ingest.incoming import Held
from apps.ingest.jobs import Job, Stored
from apps.ingest.problems import Problem, Refused
from apps.ingest.writer import queue, streams, waiting
from tests.ingest.hostile import event

KEY = "evk_" + "k" * 43
GRANT = KeyGrant(1, "s", 7, frozenset({"ingest"}), 1, "n")


class Desk:
    """Stands for the writer: stores everything at once, or does what it is told."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.head = 0
        self.outcome: Exception | None = None
        self.room = True
        self.after = 10**9  # jobs that go well before `outcome` applies

    def submit(self, job: Job, *, patient: bool = False) -> bool:
        if patient and not self.room:
            return False
        self.jobs.append(job)
        if self.outcome and len(self.jobs) > self.after:
            job.done(self.outcome)
            return True
        first = self.head + 1
        self.head += len(job.envelopes)
        positions: list[int | None] = list(range(first, self.head + 1))
        job.done(Stored(self.head, positions, len(positions), 0, {}, []))
        return True


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(queue, "current", lambda: desk)
    monkeypatch.setattr(queue, "check", lambda: None)
    monkeypatch.setattr(keys, "recall", lambda bearer, scope: GRANT)
    return desk


class Client:
    """Sends a body in pieces, and takes the answer."""

    def __init__(
        self, *pieces: bytes | float | None, content_type: str = "application/json"
    ) -> None:
        """A number is a pause in seconds, None the end of the connection."""
        self.pieces = list(pieces)
        self.content_type = content_type.encode()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        while self.pieces:
            piece = self.pieces.pop(0)
            if piece is None:
                return {"type": "http.disconnect"}
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def ask(self, path: str = "/v1/events", headers: Any = ()) -> tuple[int, Any]:
        scope = {
            "type": "http", "method": "POST", "path": path, "headers": [
                (b"authorization", f"Bearer {KEY}".encode()), (b"content-type", self.content_type),
                *headers,
            ],
        }  # fmt: skip
        await door.application(scope, self.receive, self.send)
        if not self.sent:
            return 0, None
        start, body = self.sent
        return start["status"], json.loads(body["body"])


NDJSON = "application/x-ndjson"


async def test_it_works(desk: Desk) -> None:
    status, shape = await Client(b'{"type"', b':"t"}').ask()
    assert (status, shape["positions"]) == (200, [1])
    (job,) = desk.jobs
    assert (job.timeline, [e.type for e in job.envelopes]) == (7, ["t"])


async def test_a_client_that_goes_away_is_not_answered_and_nothing_is_stored(desk: Desk) -> None:
    assert await Client(b'{"type":"t"}', None).ask() == (0, None)
    assert desk.jobs == []


async def test_a_body_that_does_not_come_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BODY_S", 0.05)
    status, shape = await Client(b"{", 5.0, b"}").ask()
    assert (status, shape["code"]) == (408, "too_slow")


async def test_a_stream_that_falls_silent_is_stored_up_to_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAUSE_S", 0.02)
    monkeypatch.setattr(streams, "IDLE_S", 0.2)
    client = Client(event(id="a") + b"\n" + event(id="b"), 5.0, b"\n", content_type=NDJSON)

    status, shape = await client.ask()

    assert (status, shape["code"]) == (408, "too_slow")
    assert "The first 1 events are stored" in shape["detail"]
    assert [e.id for job in desk.jobs for e in job.envelopes] == ["a"]


async def test_a_stream_whose_log_goes_away_says_what_is_stored(desk: Desk) -> None:
    desk.outcome, desk.after = waiting.unavailable("the disk is full"), 1
    lines = b"\n".join(event(id=f"n{n}") for n in range(5000))

    status, shape = await Client(lines, content_type=NDJSON).ask()

    assert (status, shape["code"]) == (503, "unavailable")
    assert "The first 2000 events are stored already" in shape["detail"]
    assert "Nothing of the request" not in shape["detail"]


async def test_a_stream_waits_for_room(desk: Desk) -> None:
    desk.room = False

    async def make_room() -> None:
        await asyncio.sleep(0.1)
        assert desk.jobs == []
        desk.room = True

    making = asyncio.ensure_future(make_room())
    status, shape = await Client(event(id="a"), content_type=NDJSON).ask()
    await making
    assert (status, shape["stored"]) == (200, 1)


async def test_a_stream_cut_off_in_its_encoding_keeps_what_was_stored(desk: Desk) -> None:
    packed = gzip.compress(b"\n".join(event(id=f"n{n}") for n in range(3000)))
    client = Client(packed[:-20], content_type=NDJSON)
    status, shape = await client.ask(headers=[(b"content-encoding", b"gzip")])
    assert (status, shape["code"]) == (400, "bad_encoding")


async def test_bodies_of_all_requests_are_bounded_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HELD", Held(1000))
    slow = Client(b"[" + b" " * 800, 0.2, b"]")
    first = asyncio.ensure_future(slow.ask())
    await asyncio.sleep(0.05)

    status, shape = await Client(b"[" + b" " * 400 + b"]").ask()
    assert (status, shape["code"]) == (429, "queue_full")
    assert (await first)[0] == 200
    assert (await Client(b"[" + b" " * 400 + b"]").ask())[0] == 200
    assert door.HELD.bytes == 0


async def test_without_a_database_to_ask_it_is_503(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LogUnavailable("gone")

    monkeypatch.setattr(keys, "recall", lambda bearer, scope: None)
    monkeypatch.setattr(door, "_authenticate", fail)
    client = Client(b"[]")
    status, shape = await client.ask()
    assert (status, shape["code"]) == (503, "unavailable")
    assert (b"retry-after", b"5") in client.sent[0]["headers"]


async def test_a_large_body_is_decoded_beside_the_loop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event loop that is busy decoding would answer nobody else."""
    events = b",".join(event(b'"' + b"\\ud800" * 20 + b'"', id=f"n{n}") for n in range(5000))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    client = Client(b"[" + events + b"]", content_type="application/cloudevents-batch+json")
    status, shape = await client.ask()
    ticking.cancel()
    assert (status, shape["stored"]) == (200, 5000)
    assert ticks >= 3


def test_a_report_counts_a_stream_part_by_part() -> None:
    report = Report()
    report.add(Stored(2, [1, 2], 2, 0, {}, []), [0, 2], [Problem(1, "c", "d")])
    late = [Problem(1, "unknown_position", "x")]
    report.add(Stored(3, [3, None, 1], 1, 1, {0: 9}, late), [3, 4, 6], [Problem(5, "e", "f")])

    assert report.shape() == {
        "received": 7, "stored": 3, "duplicates": 1, "rejected": 3, "head": 3,
        "positions": [1, None, 2, 3, None, None, 1],
        "conflicts": [{"index": 3, "conflicts_with": 9}],
        "problems": [
            Problem(1, "c", "d"), Problem(4, "unknown_position", "x"), Problem(5, "e", "f"),
        ],
    }  # fmt: skip


STRUCTURED = "application/cloudevents+json"
MARK = "0123456789abcdef" * 2 + ".7"


async def test_what_bears_a_mark_goes_to_its_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[int, str, list[str]]] = []

    def put(timeline: int, mark: Any, envelopes: Any) -> int:
        kept.append((timeline, str(mark), [e.id for e in envelopes]))
        return len(envelopes)

    monkeypatch.setattr(returning, "put", put)
    header = [(b"evdebug-sandbox", MARK.encode())]
    status, shape = await Client(b'{"type":"t","id":"a"}').ask(headers=header)
    assert (status, shape["stored"], shape["positions"]) == (200, 1, [None])
    marked = event(id="b")[:-1] + b',"evdebugsandbox":"%s"}' % MARK.encode()
    assert (await Client(marked, content_type=STRUCTURED).ask())[0] == 200
    assert kept == [(7, MARK, ["a"]), (7, MARK, ["b"])]

    mixed = b"[" + marked + b"," + event(id="c") + b"]"
    for body, content_type, headers, wanted in (
        (mixed, "application/cloudevents-batch+json", [], 400),
        (b'{"type":"t"}', "application/json", [(b"evdebug-sandbox", b"../x")], 400),
        (b'[{"type":"t"},{}]', "application/json", header, 400),
        (event(id="d"), NDJSON, header, 415),
    ):
        assert (await Client(body, content_type=content_type).ask(headers=headers))[0] == wanted
    status, shape = await Client(marked + b"\n" + event(id="e"), content_type=NDJSON).ask()
    assert (shape["stored"], shape["problems"][0]["code"]) == (1, "marked")
    assert len(kept) == 2
    assert [e.id for job in desk.jobs for e in job.envelopes] == ["e"]


@pytest.mark.django_db
def test_a_run_takes_what_came_with_its_mark() -> None:
    token = "f" * 32
    returning.expect(token, 7)
    some = [Envelope(type="t", id=f"{n}", data=b"{}") for n in range(3)]
    assert returning.put(7, marks.Mark(token, 1), some[:2]) == 2
    assert returning.put(7, marks.Mark(token, 1), some) == 1  # sent again
    assert returning.put(7, marks.Mark(token, 2), some[:1]) == 1
    assert returning.returned(token, 1) == some
    assert (returning.count(token, 2), returning.count(token, 3)) == (1, 0)
    with pytest.raises(Refused, match="no run"):
        returning.put(8, marks.Mark(token, 1), some)  # another system's key
    large = Envelope(type="t", id="x", data=b"x" * returning.BYTES)
    with pytest.raises(Refused, match="may publish"):
        returning.put(7, marks.Mark(token, 1), [large])
    returning.end(token)
    returning.end(token)
    with pytest.raises(Refused, match="no run"):
        returning.put(7, marks.Mark(token, 1), some)
