"""A room: one drawing for all, newest first, and rows that are never missed or told twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.errors import LogUnavailable
from apps.live import hub
from apps.live.hub import KEPT, Drawn, Room, Row, Seat


class Log:
    """A log of positions: a painter, and the way to wait for more."""

    def __init__(self, head: int = 0) -> None:
        self.head, self.draws, self.failing = head, 0, False
        self._grown = asyncio.Event()

    def append(self, count: int = 1) -> None:
        self.head += count
        self._grown.set()
        self._grown = asyncio.Event()

    async def wait(self, position: int) -> None:
        while self.head <= position:
            await self._grown.wait()

    async def __call__(self, after: dict[str, int], views: frozenset[str], *, parts: bool) -> Drawn:
        self.draws += 1
        if self.failing:
            raise LogUnavailable("The log is away.")
        head = self.head
        await asyncio.sleep(0)  # it may grow meanwhile
        rows = {
            query: [Row(p, f"<{p}>") for p in range(at + 1, head + 1) if p % int(query or 1) == 0]
            for query, at in after.items()
        }
        drawn = {f"flow:{view}": f"{view} at {head // 100}" for view in views} if parts else {}
        rows = {query: found[-KEPT:] for query, found in rows.items()}
        return Drawn(head, float(head), drawn, rows)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "EVERY_S", 0.0)
    monkeypatch.setattr(hub, "RETRY_S", 0.0)
    monkeypatch.setattr(hub, "PARTS_S", 0.0)


@contextmanager
def room(log: Log, trouble: str = "") -> Iterator[Room]:
    made = Room(log, log.wait, lambda: trouble)
    yield made
    if made._task:
        made._task.cancel()


async def frame(seat: Seat) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(seat.next(), 30)))


def shown(frame: dict[str, Any]) -> list[int]:
    """Return the positions of a frame's rows, oldest first."""
    return [int(p) for p in reversed(frame.get("rows", "").strip("<>").split("><")) if p]


async def test_it_works() -> None:
    log = Log(head=3)
    with room(log) as it, it.seat(after=1, query="", view="rate") as seat:
        first = await frame(seat)
        assert (first["head"], first["after"], shown(first)) == (3, 1, [2, 3])
        assert first["parts"] == {"flow": "rate at 0"}
        log.append()
        assert shown(await frame(seat)) == [4]


async def test_all_share_one_drawing() -> None:
    log = Log(head=1)
    with room(log) as it, it.seat(after=0, query="") as a, it.seat(after=0, query="") as b:
        texts = [await asyncio.wait_for(seat.next(), 30) for seat in (a, b)]
        assert texts[0] is texts[1]


async def test_the_slow_miss_frames_but_no_rows() -> None:
    log = Log()
    with room(log) as it, it.seat(after=0, query="") as slow, it.seat(after=0, query="") as quick:
        for _ in range(50):
            log.append()
            while (await frame(quick))["head"] < log.head:
                pass
        assert shown(await frame(slow)) == list(range(1, 51))


async def test_a_filter_is_of_its_seat() -> None:
    log = Log(head=10)
    with room(log) as it, it.seat(after=0, query="") as all_, it.seat(after=0, query="5") as few:
        assert shown(await frame(all_)) == list(range(1, 11))
        assert shown(await frame(few)) == [5, 10]


async def test_of_many_rows_the_newest_are_told() -> None:
    log = Log(head=10 * KEPT)
    with room(log) as it, it.seat(after=0, query="") as seat:
        assert shown(await frame(seat)) == list(range(9 * KEPT + 1, 10 * KEPT + 1))


async def test_without_a_tail_there_are_no_rows() -> None:
    with room(Log(head=5)) as it, it.seat(after=0) as seat:
        told = await frame(seat)
    assert (told["head"], "rows" in told, "parts" in told) == (5, False, False)


async def test_parts_are_sent_when_they_change() -> None:
    log = Log(head=1)
    with room(log) as it, it.seat(after=0, query="", view="rate") as seat:
        assert (await frame(seat))["parts"]
        log.append()
        assert (await frame(seat))["parts"] == {}
        log.append(100)
        while not (told := await frame(seat))["parts"]:
            pass
        assert told["parts"] == {"flow": "rate at 1"}


async def test_a_part_of_its_own_takes_the_place_of_that_of_all() -> None:
    log = Log()

    async def paint(after: dict[str, int], views: frozenset[str], *, parts: bool) -> Drawn:
        drawn = {"types": "of all"} | {f"flow:{view}": view for view in views}
        if "rate:payments" in views:
            drawn["types:rate:payments"] = "of payments"
        return Drawn(0, 0.0, drawn if parts else {}, {})

    it = Room(paint, log.wait, lambda: "")
    with it.seat(after=0, view="rate:payments") as one, it.seat(after=0, view="rate") as all_:
        assert (await frame(one))["parts"] == {"types": "of payments", "flow": "rate:payments"}
        assert (await frame(all_))["parts"] == {"types": "of all", "flow": "rate"}


async def test_a_log_that_is_away_is_said_and_comes_back() -> None:
    log = Log(head=3)
    log.failing = True
    with room(log) as it, it.seat(after=1, query="") as seat:
        told = await frame(seat)
        assert told["trouble"] == "The log is away."
        assert "rows" not in told
        log.failing = False
        while "rows" not in (told := await frame(seat)):
            pass
        assert (told["trouble"], shown(told)) == ("", [2, 3])


async def test_trouble_on_the_way_to_others_is_said() -> None:
    with room(Log(head=1), "Redis does not answer") as it, it.seat(after=0) as seat:
        assert (await frame(seat))["degraded"] == "Redis does not answer"


class Client:
    """Takes what is pushed while it is not behind."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.behind = False

    def push(self, frame: bytes) -> bool:
        if not self.behind:
            self.frames.append(frame)
        return not self.behind

    async def head(self, at_least: int) -> list[int]:
        """Return the rows pushed, once they reach a head."""
        async with asyncio.timeout(30):
            while not (told := [json.loads(f) for f in self.frames]) or told[-1]["head"] < at_least:
                await asyncio.sleep(0)
        return [row for frame in told for row in shown(frame)]


async def test_frames_are_pushed_without_being_asked_for() -> None:
    log, a, b = Log(head=1), Client(), Client()
    with (
        room(log) as it, it.seat(after=0, query="", push=a.push),
        it.seat(after=0, query="", push=b.push),
    ):  # fmt: skip
        await a.head(1)
        log.append(3)
        assert await a.head(4) == await b.head(4) == [1, 2, 3, 4]
        assert a.frames[-1] is b.frames[-1]


async def test_who_is_behind_asks_for_the_rest_and_is_pushed_to_again() -> None:
    log, client = Log(head=1), Client()
    with room(log) as it, it.seat(after=0, query="", push=client.push) as seat:
        assert await client.head(1) == [1]
        client.behind = True
        log.append(2)
        rows: list[int] = []
        while rows[-1:] != [3]:
            rows += shown(await frame(seat))
        assert rows == [2, 3]
        client.behind = False
        log.append()
        assert await client.head(4) == [1, 4]


@pytest.mark.parametrize("answer", ["2", "3", "99"])
async def test_who_does_not_answer_gets_no_more_until_they_do(answer: str) -> None:
    log, client = Log(head=1), Client()
    with room(log) as it, it.seat(after=0, query="", push=client.push, window=3) as seat:
        while len(client.frames) < 3:
            await client.head(log.head)
            log.append()
        log.append(5)
        while it._head < log.head:
            await asyncio.sleep(0)
        assert len(client.frames) == 3
        seat.answer("no number")
        assert len(client.frames) == 3
        seat.answer(answer)
        rows = await client.head(log.head)
        assert rows == list(range(1, log.head + 1))


async def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATIENCE_S", 0.0)
    log, client = Log(head=1), Client()
    with room(log) as it, it.seat(after=0, query="", push=client.push, window=1) as seat:
        waiting = asyncio.ensure_future(seat.next())
        while not waiting.done():
            log.append()
            await asyncio.sleep(0)
        assert len(client.frames) == 1
        with pytest.raises(TimeoutError):
            waiting.result()


async def test_nobody_in_the_room_is_nothing_to_draw() -> None:
    log = Log(head=1)
    with room(log) as it:
        with it.seat(after=0) as seat:
            await frame(seat)
        log.append()
        assert it._task is not None
        await asyncio.wait_for(it._task, 30)
        drawn = log.draws
        log.append()
        await asyncio.sleep(0.01)
        assert log.draws == drawn
        with it.seat(after=1, query="") as again:
            assert shown(await frame(again)) == [2, 3]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=40))
def test_whoever_comes_and_goes_has_every_row_once(steps: list[tuple[int, int]]) -> None:
    """Seats come back with the last position they have, in any order of growing and looking."""

    async def story() -> None:
        log, have = Log(), {n: [] for n in range(4)}  # type: ignore[var-annotated]
        with room(log) as it:
            for who, count in steps:
                log.append(count)
                last = have[who][-1] if have[who] else 0
                with it.seat(after=last, query="") as seat:
                    while last < log.head:
                        have[who] += shown(await frame(seat))
                        last = have[who][-1] if have[who] else 0
        for who, rows in have.items():
            last = max((n for n, (w, _) in enumerate(steps) if w == who), default=-1)
            total = sum(count for _, count in steps[: last + 1])
            assert rows[-KEPT:] == list(range(1, total + 1))[-KEPT:]
            assert rows == sorted(set(rows))

    asyncio.run(story())
