"""Limits a child process puts on itself before it runs somebody's reducers.

What holds: processor time, memory, files written, open files and core dumps, by the kernel; the
network, where the kernel lets the process leave it. What is refused in words but is no wall:
opening sockets, starting programs, writing files. Reading files is not prevented here.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Any

MEMORY = 1024 * 1024 * 1024
CPU_S = 600  # in a child's whole life; each request has a deadline of its own
NEW_USER, NEW_NET = 0x10000000, 0x40000000
PDEATHSIG, SIGKILL = 1, 9

_REFUSED = {
    "socket.connect": "open a connection", "socket.bind": "open a socket",
    "socket.__new__": "open a socket", "socket.getaddrinfo": "look up a host",
    "os.fork": "start a process", "os.forkpty": "start a process", "os.exec": "start a program",
    "os.posix_spawn": "start a program", "os.spawn": "start a program",
    "os.system": "run a command", "subprocess.Popen": "start a program",
    "os.remove": "remove a file", "os.rename": "rename a file", "os.kill": "send a signal",
    "ctypes.dlopen": "load a library", "shutil.rmtree": "remove a folder",
}  # fmt: skip


def confine() -> dict[str, bool]:
    """Put the limits on this process, for good, and return which of the optional ones hold."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    held = {"network": False}
    if libc is not None:
        libc.prctl(PDEATHSIG, SIGKILL, 0, 0, 0)
        # Without rights to leave the network alone, a user namespace of one's own gives them.
        held["network"] = libc.unshare(NEW_NET) == 0 or libc.unshare(NEW_USER | NEW_NET) == 0
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (most, most))
    sys.addaudithook(_refuse)
    return held


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise PermissionError(f"A reducer may not {_REFUSED[event]}.")
    if event == "open" and len(arguments) > 2:
        path, mode, flags = arguments[:3]
        writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        if writes or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            raise PermissionError(f"A reducer may not write files: {str(path)[:100]!r}.")
