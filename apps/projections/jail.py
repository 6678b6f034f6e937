"""A confined child process, seen from its parent: started, asked within a time, ended for good.

    jail = Jail(Path("child.py"), ["a", "module"], paths=["/srv/shop"], hidden=["/srv/shop/data"])
    told = jail.start(15)             # the first thing the child says
    jail.send({...}, deadline)
    answer = jail.receive(deadline)   # TimeoutError, or Ended when the child is gone or talks noise

The child is `python -I SCRIPT IN OUT NOW PATH… -- ARGUMENT…` and begins with `frames.Parent` and
`confine.confine`. Where bubblewrap is installed and allowed it runs in there, too: with a file
system of its own that holds only what it may read, and without a network.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from apps.projections.confine import around, libraries
from apps.projections.frames import LENGTH, POSITION

ROOT = Path(__file__).resolve().parents[2]
OWN = ("apps", "evdebug", "examples")  # of this project, what a child may read
ANSWER = 64 * 1024 * 1024  # bytes of a frame from the child
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
BUBBLEWRAP = (
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
    "--setenv", "PYTHONHASHSEED", "0", "--dev", "/dev", "--chdir", "/",
)  # fmt: skip


class Ended(Exception):
    """The child is gone, or what it wrote is no frame."""


@functools.cache
def bubblewrap() -> str:
    """Return where bubblewrap is, "" where it is not or this kernel forbids what it needs."""
    found = shutil.which("bwrap") if sys.platform.startswith("linux") else None
    if not found:
        return ""
    command = [found, *BUBBLEWRAP, "--ro-bind", "/", "/", "/bin/true"]
    try:
        tried = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found if tried.returncode == 0 else ""


def outermost(paths: Sequence[str]) -> list[str]:
    """Return the paths that lie in none of the others; none in /dev, which is made anew."""
    found: list[str] = []
    for path in sorted(set(paths), key=len):
        if not any(path.startswith(os.path.join(outer, "")) for outer in ["/dev", *found]):
            found.append(path)
    return found


_keepers: dict[int, ThreadPoolExecutor] = {}
_making = threading.Lock()


def _keeper() -> ThreadPoolExecutor:
    """Return the thread of this process that starts children; a fork has its own.

    The kernel ends a child with the thread that started it, and servers end theirs after each
    request: the child would be gone by the next, or in the middle of another's.
    """
    with _making:
        if os.getpid() not in _keepers:
            _keepers[os.getpid()] = ThreadPoolExecutor(1, thread_name_prefix="children")
        return _keepers[os.getpid()]


class Jail:
    """One child. Not for several threads at once."""

    def __init__(
        self, script: Path, arguments: Sequence[str], *, paths: Sequence[str] = (),
        hidden: Sequence[str] = (), first: str = "",
    ) -> None:  # fmt: skip
        """paths  folders modules are looked for in; `hidden` is never read
        first  where they are looked for before, this project's own among them
        """
        self.script, self.arguments = script, list(arguments)
        self.paths = [str(ROOT), *map(os.path.abspath, paths)]
        self.hidden, self.first = list(hidden), first
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a child."""
        return self._process is not None and self._process.poll() is None

    def readable(self) -> list[str]:
        """Return what the child may read besides Python's own."""
        own = [str(ROOT / name) for name in OWN]
        folders = [*self.paths[1:], *([self.first] if self.first else [])]
        others = [path for folder in folders for path in around(folder, self.hidden)]
        return list(dict.fromkeys([*own, *others]))

    def start(self, seconds: float) -> Any:
        """End the child there may be, start another, and return the first thing it says.

        raises  TimeoutError, Ended
        """
        self.close()
        child_in, self._in = os.pipe()
        self._out, child_out = os.pipe()
        self._now = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        self._now.write(POSITION.pack(0))
        self._now.flush()
        fds = (child_in, child_out, self._now.fileno())
        command = [sys.executable, "-IB", str(self.script), *map(str, fds), *self.paths, "--"]
        self._process = _keeper().submit(
            subprocess.Popen, [*self._wrap(), *command, *self.arguments], pass_fds=fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=ENVIRONMENT, start_new_session=True, cwd="/",
        ).result()  # fmt: skip
        os.close(child_in)
        os.close(child_out)
        os.set_blocking(self._in, False)
        self._read = bytearray()
        deadline = time.monotonic() + seconds
        try:
            self.send({"readable": self.readable(), "first": self.first}, deadline)
            return self.receive(deadline)
        except (TimeoutError, Ended):
            self.close()
            raise

    def _wrap(self) -> list[str]:
        if not (found := bubblewrap()):
            return []
        python = [sys.executable, os.path.realpath(sys.executable)]
        shown = [*libraries(), *python, *self.readable(), str(self.script)]
        binds = [("--ro-bind-try", path, path) for path in outermost(shown)]
        return [found, *BUBBLEWRAP, *(word for bind in binds for word in bind)]

    def send(self, value: Any, deadline: float) -> None:
        """Write one frame. raises  TimeoutError, Ended"""
        raw = msgspec.json.encode(value)
        view = memoryview(LENGTH.pack(len(raw)) + raw)
        try:
            while view:
                try:
                    view = view[os.write(self._in, view[: 1 << 16]) :]
                except BlockingIOError:  # rarely: most frames find room
                    self._wait([], [self._in], deadline)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise Ended from error

    def receive(self, deadline: float) -> Any:
        """Read one frame. raises  TimeoutError, Ended"""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        if length > ANSWER:
            raise Ended
        try:
            return msgspec.json.decode(self._exactly(length, deadline))
        except (msgspec.DecodeError, RecursionError) as error:
            raise Ended from error

    def at(self) -> int:
        """Return the position the child says it is at, 0 for none: its word, nothing more."""
        self._now.seek(0)
        raw = self._now.read(POSITION.size)
        return int(POSITION.unpack(raw)[0]) if len(raw) == POSITION.size else 0

    def close(self) -> None:
        """End the child. May be called twice."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for fd in (self._in, self._out):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._now.close()
        self._process = None

    def _exactly(self, length: int, deadline: float) -> bytes:
        """Return the next bytes. What comes with them waits for the next call."""
        held = self._read
        while len(held) < length:
            self._wait([self._out], [], deadline)
            part = os.read(self._out, max(1 << 16, min(1 << 20, length - len(held))))
            if not part:
                raise Ended
            held += part
        found = bytes(held[:length])
        del held[:length]
        return found

    def _wait(self, reading: list[int], writing: list[int], deadline: float) -> None:
        left = deadline - time.monotonic()
        waiting = select.poll()  # select() knows no number above 1023
        for fd in reading:
            waiting.register(fd, select.POLLIN)
        for fd in writing:
            waiting.register(fd, select.POLLOUT)
        if left <= 0 or not waiting.poll(left * 1000):
            raise TimeoutError
