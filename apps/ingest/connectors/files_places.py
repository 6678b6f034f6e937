"""Places in followed files: which file it was, how far it is read, and whether it still is it."""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from typing import BinaryIO

import msgspec

from apps.ingest.connector import Gap

LINE = 16 * 1024 * 1024


class Place(msgspec.Struct, array_like=True):
    """How far one file is read. `generation` counts the files that bore this path before it."""

    inode: int
    offset: int
    generation: int = 0
    prefix: int = 0  # bytes that `mark` is the hash of
    mark: str = ""
    size: int = -1  # of an array that may still be written to

    @property
    def epoch(self) -> str:
        return str(self.generation) if self.generation else ""

    def begin_again(self) -> None:
        """Stand at the beginning of what the file holds now."""
        self.offset, self.generation, self.mark, self.prefix = 0, self.generation + 1, "", 0


def inode(path: str) -> int | None:
    """Return the number of the file at `path`, None where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def is_at_end(path: str, place: Place) -> bool:
    """Return whether the file of `place` is at `path` and read to its end."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return found.st_ino == place.inode and found.st_size == place.offset


def opened_if(path: str, place: Place) -> BinaryIO | None:
    """Open `path` if it is the file of `place`."""
    if not place.inode or inode(path) != place.inode:
        return None
    source = open(path, "rb")  # noqa: SIM115 - stays open while it is followed
    if digest(source.read(place.prefix)) == place.mark:
        return source
    source.close()
    return None


def digest(data: bytes) -> str:
    """Return what tells the beginning of a file from that of another."""
    return blake2b(data, digest_size=8).hexdigest()


def is_array(source: BinaryIO) -> bool:
    """Return whether a file holds one JSON array, and go back to its beginning."""
    first = source.read(64).lstrip()[:1] == b"["
    source.seek(0)
    return first


def skipped(source: BinaryIO) -> bytes:
    """Read over the rest of a line that is too long to keep."""
    while line := source.readline(LINE):
        if line.endswith(b"\n"):
            break
    return b""


def _now() -> int:
    return time.time_ns() // 1000


def emptied(path: str, place: Place) -> Gap:
    """Return the gap of a file that is shorter than what was read of it."""
    return Gap(
        channel=path, cause="recreated", after=str(place.offset), at=_now(),
        words="The file was emptied; what had not been read of it is lost.",
    )  # fmt: skip


def lost(path: str, place: Place) -> Gap:
    """Return the gap of a file that is gone."""
    return Gap(
        channel=path, cause="retention", after=str(place.offset), at=_now(),
        words="The file read before is gone; whether it held more is not known.",
    )  # fmt: skip
