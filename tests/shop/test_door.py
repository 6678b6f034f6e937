from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from examples.shop.door import LONGEST_RETRY_AFTER, LONGEST_WAIT, Door, Refused, Stopped, seconds
from tests.shop.listener import Impatient, Listener, listening

LINES = ['{"id":"1"}', '{"id":"2"}']


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


@pytest.fixture
def door(listener: Listener) -> Iterator[Door]:
    found = Door(listener.url, "evk_1", Impatient())
    yield found
    found.close()


def waits(door: Door) -> list[float]:
    assert isinstance(door.stop, Impatient)
    return door.stop.waits


def test_it_works(listener: Listener, door: Door) -> None:
    door.send("events", LINES)

    assert listener.requests == [
        ("/v1/events", "application/cloudevents-batch+json", "Bearer evk_1")
    ]
    assert [entry["id"] for _, entry in listener.entries] == ["1", "2"]
    assert (door.stored, door.rejected, door.retries) == (2, 0, 0)


def test_it_streams_lines(listener: Listener, door: Door) -> None:
    door.send("events", LINES, stream=True)
    door.send("deliveries", LINES, stream=True)
    door.send("deliveries", LINES)

    assert [(path, kind) for path, kind, _ in listener.requests] == [
        ("/v1/events", "application/x-ndjson"),
        ("/v1/deliveries", "application/x-ndjson"),
        ("/v1/deliveries", "application/json"),
    ]
    assert len(listener.entries) == 6


def test_nothing_is_not_sent(listener: Listener, door: Door) -> None:
    door.send("events", [])

    assert listener.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_it_tries_again_and_longer_each_time(listener: Listener, door: Door, status: int) -> None:
    listener.answers = [(status, {})] * 7

    door.send("events", LINES)

    assert waits(door) == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT, LONGEST_WAIT]
    assert (door.stored, door.retries) == (2, 7)
    assert len(listener.entries) == 2


def test_it_waits_as_long_as_it_is_told(listener: Listener, door: Door) -> None:
    listener.answers = [(429, {"Retry-After": "3"}), (503, {"Retry-After": "86400"})]

    door.send("events", LINES)

    assert waits(door) == [3.0, LONGEST_RETRY_AFTER]


def test_it_survives_a_connection_that_ends(listener: Listener, door: Door) -> None:
    listener.answers = [(0, {})]

    door.send("events", LINES)

    assert (door.stored, door.retries) == (2, 1)


def test_it_waits_for_a_server_that_is_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        door = Door(f"http://127.0.0.1:{taken.getsockname()[1]}", "evk_1", Impatient(stop_after=3))
        with pytest.raises(Stopped):
            door.send("events", LINES)

    assert waits(door) == [0.2, 0.4, 0.8]
    assert capsys.readouterr().err.count("does not answer") == 1  # said once, not each time


def test_it_can_be_told_to_stop_while_it_waits_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door = Door(f"http://127.0.0.1:{silent.getsockname()[1]}", "evk_1", Event())
        failures: list[BaseException] = []

        def send() -> None:
            try:
                door.send("events", LINES)
            except Stopped as stopped:
                failures.append(stopped)

        sending = Thread(target=send)
        sending.start()
        connection, _ = silent.accept()
        assert connection.recv(4)  # the request is on its way, and nobody will answer it
        door.abort()
        sending.join(10)
        connection.close()

    assert [type(failure) for failure in failures] == [Stopped]


def test_it_says_when_the_server_is_back(
    listener: Listener, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    listener.answers = [(503, {}), (503, {})]

    door.send("events", LINES)
    door.send("events", LINES)

    assert capsys.readouterr().err.splitlines() == [
        f"shop: {listener.url} answers 503; trying again.",
        f"shop: {listener.url} answers again.",
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415])
def test_it_gives_up_on_what_will_not_pass(listener: Listener, door: Door, status: int) -> None:
    listener.answers = [(status, {})]

    with pytest.raises(Refused, match=f"/v1/events answered {status}: .*later"):
        door.send("events", LINES)

    assert waits(door) == []


def test_it_tells_what_was_rejected(
    listener: Listener, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    listener.rejects = 1

    door.send("events", LINES)

    assert (door.stored, door.rejected) == (1, 1)
    assert "missing_type" in capsys.readouterr().err


def test_it_keeps_a_path_before_the_doors(listener: Listener) -> None:
    door = Door(f"{listener.url}/evdebug/", "evk_1", Impatient())
    door.send("events", LINES)
    door.close()

    assert listener.requests[0][0] == "/evdebug/v1/events"


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://"])
def test_it_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="is no address; expected http://HOST:PORT"):
        Door(url, "evk_1", Impatient())


def test_seconds() -> None:
    assert seconds("7") == 7.0
    for text in ("", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "٣"):
        assert seconds(text) == 0.0
