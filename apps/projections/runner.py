"""A child process with somebody's reducers: started when needed, ended when it hangs."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from apps.projections.child import LENGTH, POSITION

CHILD = Path(__file__).with_name("child.py")
ROOT = CHILD.parents[2]
START_S = 15.0
BATCH_S = 5.0  # a batch of events that takes longer is stopped
ANSWER = 64 * 1024 * 1024  # bytes of an answer


class Stopped(Exception):
    """The child ended or was ended. `position` is the event it was at, 0 when at none."""

    def __init__(self, text: str, position: int = 0) -> None:
        super().__init__(text)
        self.text, self.position = text, position


class Described(msgspec.Struct, frozen=True):
    """One projection as its module defines it. `by` is stream, key or all."""

    name: str
    streams: tuple[str, ...]
    version: int
    by: str
    kinds: tuple[str, ...]
    fingerprint: str


class Runner:
    """One child for a list of modules. Safe to use from several threads, one request at a time."""

    def __init__(self, modules: Sequence[str], paths: Sequence[str] = ()) -> None:
        self.modules, self.paths = list(modules), [str(ROOT), *paths]
        self.reducers: dict[str, Described] = {}
        self.held: dict[str, bool] = {}
        self.error = ""
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: dict[str, int] = {}

    def describe(self) -> dict[str, Described]:
        """Return the projections there are, of the files as they are now.

        `error` says why there are none, when a module cannot be imported.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None or self._stale():
                self._start()
            return self.reducers

    def ask(self, request: dict[str, Any], *, seconds: float = BATCH_S) -> dict[str, Any]:
        """Send one request and return the answer.

        raises  Stopped with the event's position when it takes longer, or the child dies
        """
        with self._lock:
            self.describe()
            raw = msgspec.json.encode(request)
            deadline = time.monotonic() + seconds
            try:
                self._write(LENGTH.pack(len(raw)) + raw, deadline)
                answer: dict[str, Any] = self._read(deadline)
            except TimeoutError:
                at = self._at()
                self.close()
                raise Stopped(f"It did not return within {seconds:g} s.", at) from None
            except (OSError, EOFError):
                at = self._at()
                self.close()
                raise Stopped(
                    "Its process ended: out of memory, of processor time, or by itself.", at
                ) from None
            return answer

    def close(self) -> None:
        """End the child. May be called twice; the next request starts another."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                for fd in (self._in, self._out):
                    with contextlib.suppress(OSError):
                        os.close(fd)
                self._now.close()
                self._process = None

    def _stale(self) -> bool:
        return any(_changed_at(path) != seen for path, seen in self._seen.items())

    def _start(self) -> None:
        self.close()
        child_in, self._in = os.pipe()
        self._out, child_out = os.pipe()
        self._now = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        self._now.write(POSITION.pack(0))
        self._now.flush()
        fds = (child_in, child_out, self._now.fileno())
        command = [sys.executable, "-IB", str(CHILD), *map(str, fds), *self.paths, "--"]
        self._process = subprocess.Popen(
            [*command, *self.modules], pass_fds=fds, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PYTHONHASHSEED": "0"},
            start_new_session=True, cwd="/",
        )  # fmt: skip
        os.close(child_in)
        os.close(child_out)
        try:
            told = self._read(time.monotonic() + START_S)
        except (TimeoutError, OSError, EOFError):
            self.close()
            told = {"error": f"{', '.join(self.modules)} did not load within {START_S:g} s, or"
                    " ended the process.", "held": {}, "files": [], "reducers": []}  # fmt: skip
        self.error, self.held = told["error"], told["held"]
        self._seen = {path: _changed_at(path) for path in told["files"]}
        shapes = msgspec.convert(told["reducers"], list[Described])
        self.reducers = {} if self.error else {shape.name: shape for shape in shapes}

    def _write(self, data: bytes, deadline: float) -> None:
        os.set_blocking(self._in, False)
        view = memoryview(data)
        while view:
            self._wait([], [self._in], deadline)
            view = view[os.write(self._in, view[: 1 << 16]) :]

    def _read(self, deadline: float) -> Any:
        (length,) = struct.unpack("<I", self._exactly(LENGTH.size, deadline))
        if length > ANSWER:
            raise EOFError
        return msgspec.json.decode(self._exactly(length, deadline))

    def _exactly(self, length: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            self._wait([self._out], [], deadline)
            part = os.read(self._out, min(1 << 20, length - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _wait(self, reading: list[int], writing: list[int], deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not any(select.select(reading, writing, [], left)):
            raise TimeoutError

    def _at(self) -> int:
        self._now.seek(0)
        return int(POSITION.unpack(self._now.read(POSITION.size))[0])


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
