"""What a parent and its child say to each other: frames of JSON over two pipes.

A frame is JSON after its length in four bytes. Beside the pipes there is a file of eight bytes in
which the child keeps the position it is at, so that whoever ends it knows where that was.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from typing import Any

import msgspec

POSITION = struct.Struct("<q")
LENGTH = struct.Struct("<I")


class Parent:
    """The child's end. Made first of all: it also takes the child's own outputs away."""

    def __init__(self, arguments: list[str]) -> None:
        """arguments  as the parent put them: the numbers of the pipes and of the file"""
        fd_in, fd_out, fd_now = map(int, arguments[:3])
        self._in, self._out = os.fdopen(fd_in, "rb"), os.fdopen(fd_out, "wb")
        self._now = mmap.mmap(fd_now, POSITION.size)
        os.close(fd_now)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        if nowhere > 2:
            os.close(nowhere)

    def send(self, value: Any) -> None:
        """Write one frame."""
        raw = msgspec.json.encode(value)
        self._out.write(LENGTH.pack(len(raw)) + raw)
        self._out.flush()

    def receive(self) -> Any:
        """Read one frame; None at the end."""
        head = self._in.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        return msgspec.json.decode(self._in.read(LENGTH.unpack(head)[0]))

    def at(self, position: int) -> None:
        """Say which event is at hand."""
        self._now[: POSITION.size] = POSITION.pack(position)


def paths() -> tuple[list[str], list[str]]:
    """Return the folders modules are looked for in, and what follows them, of a child's command."""
    end = sys.argv.index("--")
    return sys.argv[4:end], sys.argv[end + 1 :]
