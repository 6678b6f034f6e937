"""What removed taps had on their bus is taken away, now or when that can be reached."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from apps.access.actor import CONSOLE
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line
from apps.ingest.commands import leaving, taps
from apps.ingest.connector import Unreachable
from apps.ingest.connectors.mqtt import Mqtt
from apps.ingest.models import Leaving, Tap
from tests.ingest.tapping import running
from tests.services import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = {"url": "mqtt://me:word@10.9.8.7", "topics": "a"}


@pytest.fixture
def line() -> Line:
    return create_system(f"s-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of taps whose things were taken away."""
    monkeypatch.setattr(taps, "LEAVE_US", 0)
    found: list[str] = []
    monkeypatch.setattr(Mqtt, "leave", lambda self: found.append(self._around.name))
    return found


def made(line: Line, name: str = "machines", **changes: str) -> Tap:
    return taps.add(line, name, "mqtt", SETTINGS | changes, by=CONSOLE, wanted=False)


def test_a_removed_tap_leaves_its_bus(line: Line, left: list[str]) -> None:
    tap = made(line)
    name = taps.alias(tap)
    taps.remove(tap, by=CONSOLE)
    assert b"word" not in bytes(Leaving.objects.get(name=name).sealed)
    with running("none"):
        wait_for(lambda: not Leaving.objects.filter(name=name).exists(), "it to be gone")
    assert left == [name]


def test_a_bus_has_things_of_taps_with_one_name_apart(line: Line, left: list[str]) -> None:
    first = made(line)
    taps.remove(first, by=CONSOLE)
    again, other = made(line), made(create_system(f"s-{uuid.uuid4().hex[:12]}"))
    assert len({taps.alias(tap) for tap in (first, again, other)}) == 3


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"url": "mqtt://me:other@10.9.8.7"}, False),
        ({"topics": "a b"}, False),
        ({"url": "mqtt://me:word@10.9.8.8"}, True),
    ],
)
def test_a_tap_that_moves_to_another_bus_leaves_the_one_it_was_on(
    line: Line, left: list[str], changes: dict[str, str], moves: bool
) -> None:
    tap = made(line)
    before = taps.alias(tap)
    taps.change(line, tap, SETTINGS | changes, by=CONSOLE)
    assert (taps.alias(tap) != before) == moves
    leaving.work()
    assert left == ([before] if moves else [])


@pytest.mark.parametrize("error", [Unreachable("mqtt://me:word@h is away"), ValueError("word")])
def test_it_is_tried_again(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    left: list[str],
) -> None:
    tries: list[int] = []

    def leave(self: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise error

    monkeypatch.setattr(Mqtt, "leave", leave)
    taps.remove(made(line), by=CONSOLE)
    leaving.work()
    leaving.work()
    assert len(tries) == 1, "not at once"
    assert "word" not in caplog.text
    assert Leaving.objects.update(due=0) == 1
    leaving.work()
    assert (len(tries), Leaving.objects.count()) == (2, 0)


def test_it_is_given_up_in_the_end(
    line: Line, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(self: Any) -> None:
        raise Unreachable("nobody there")

    monkeypatch.setattr(Mqtt, "leave", leave)
    taps.remove(made(line), by=CONSOLE)
    Leaving.objects.update(since=1)
    leaving.work()
    assert not Leaving.objects.exists()


def test_a_bus_that_keeps_nothing_of_ours_is_left_alone(line: Line) -> None:
    tap = taps.add(line, "feed", "http", {"url": "http://127.0.0.1:1/f"}, by=CONSOLE, wanted=False)
    taps.remove(tap, by=CONSOLE)
    assert not Leaving.objects.exists()
