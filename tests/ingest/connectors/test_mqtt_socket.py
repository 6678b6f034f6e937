"""A socket that reads ahead and gathers: the same bytes in the same order, in fewer steps."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from apps.ingest.connectors.mqtt_socket import AHEAD, Buffered


@pytest.fixture
def ends() -> Iterator[tuple[Buffered, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    buffered = Buffered(ours)
    yield buffered, theirs
    buffered.close()
    theirs.close()


def test_bytes_come_in_order_whatever_is_asked_for(ends: tuple[Buffered, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"abcdefgh")
    assert (ours.recv(1), ours.pending()) == (b"a", 7)
    theirs.sendall(b"ij")
    assert ours.recv(100) == b"bcdefgh"
    assert (ours.recv(2), ours.pending()) == (b"ij", 0)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(1) == b""


def test_what_is_gathered_is_sent_once_and_whole(ends: tuple[Buffered, socket.socket]) -> None:
    ours, theirs = ends
    sent = bytes(range(256)) * (AHEAD // 512)
    with ours.gathering(10):
        assert ours.send(sent) == len(sent)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
    got = b""
    while len(got) < len(sent):
        got += theirs.recv(AHEAD)
    assert got == sent
    assert ours.gettimeout() == 0.0
    assert ours.send(b"x") == 1


def test_who_takes_nothing_is_waited_for_only_so_long(
    ends: tuple[Buffered, socket.socket],
) -> None:
    ours, _ = ends
    with pytest.raises(TimeoutError), ours.gathering(0.05):
        ours.send(b"x" * (8 << 20))
