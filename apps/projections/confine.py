"""Walls a child process puts around itself before it runs somebody's code. Plain Python, no root.

    held = confine(readable=[folder])      # for good, before the code is imported

Each wall that stands is named in what is returned, and what the platform cannot hold is False:

files         Landlock: only what is readable can be opened, and nothing written
calls         seccomp: no sockets, processes, programs, signals to others, mounts, namespaces
processes     no process can be started
network       no socket can be opened, or the process has left the network
memory, processor, output   limits of the kernel on address space, seconds, and bytes written

Before the walls a hook refuses what Python itself would do, which tells the person who wrote the
code what is wrong in words. It is no wall.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from typing import Any

from apps.projections import landlock, syscalls

MEMORY = 1024 * 1024 * 1024
CPU_S = 600  # in a child's whole life; each request has a deadline of its own
OPEN_FILES = 64
NEW_USER, NEW_NET, NEW_IPC = 0x10000000, 0x40000000, 0x08000000
SET_PDEATHSIG, SET_NO_NEW_PRIVS, DROP_BOUND, SIGKILL = 1, 38, 24, 9
LOCAL = 1  # AF_UNIX
CAPSET = {"x86_64": 126, "aarch64": 91}
WALLS = ("files", "calls", "processes", "network", "memory", "processor", "output")

_REFUSED = {
    "socket.connect": "open a connection", "socket.bind": "open a socket",
    "socket.getaddrinfo": "look up a host", "socket.gethostbyname": "look up a host",
    "os.fork": "start a process", "os.forkpty": "start a process", "os.exec": "start a program",
    "os.posix_spawn": "start a program", "os.spawn": "start a program",
    "os.system": "run a command", "subprocess.Popen": "start a program",
    "os.remove": "remove a file", "os.rename": "rename a file", "os.kill": "send a signal",
    "os.mkdir": "make a folder", "os.rmdir": "remove a folder", "os.truncate": "write files",
    "ctypes.dlopen": "load a library", "shutil.rmtree": "remove a folder",
}  # fmt: skip
_LIBRARIES = (
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
    "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/zero",
)  # fmt: skip


def confine(
    readable: Iterable[str] = (), *, memory: int = MEMORY, cpu_s: int = CPU_S,
    threads: bool = False, who: str = "A reducer",
) -> dict[str, bool]:  # fmt: skip
    """Put the walls around this process, for good, and return which of WALLS stand.

    readable  files and folders that may be read besides Python's own; see `around`
    threads   whether it may have threads, as asyncio and pools want
    who       whom the words of a refusal speak of
    """
    held = dict.fromkeys(WALLS, False)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    alone = _leave(libc) if libc is not None else False
    held |= _limits(memory, cpu_s, threads=threads)
    if libc is not None:
        libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        known = landlock.restrict(libc, [*libraries(), *readable], ["/dev/null"])
        held["files"] = known > 0
        # Before the third version a file that may be read could still be emptied.
        held["calls"] = syscalls.restrict(libc, threads=threads, truncate=known >= 3)
    held["processes"] = held["calls"] or (not threads and hasattr(os, "getuid") and os.getuid() > 0)
    held["network"] = held["calls"] or alone
    sys.addaudithook(_refusing(who))
    return held


def libraries() -> list[str]:
    """Return the files and folders Python itself needs."""
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()]
    return list(dict.fromkeys([*own, *_LIBRARIES]))


def around(folder: str, hidden: Sequence[str] = ()) -> list[str]:
    """Return what of a folder may be read: all but what is hidden, and names that begin with a dot.

    hidden  files and folders anywhere; what leads to one of them is looked through
    """
    folder = os.path.abspath(folder)
    within = [h for h in map(os.path.abspath, hidden) if h.startswith(os.path.join(folder, ""))]
    found: list[str] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return found
    for entry in entries:
        path = os.path.join(folder, entry.name)
        if entry.name.startswith(".") or path in within:
            continue
        if any(h.startswith(path + os.sep) for h in within):
            found += around(path, within)
        else:
            found.append(path)
    return found


def _leave(libc: ctypes.CDLL) -> bool:
    """End with the parent, leave the network, and give up every right; return whether it left."""
    libc.prctl(SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    alone = libc.unshare(NEW_NET | NEW_IPC) == 0 or libc.unshare(NEW_USER | NEW_NET | NEW_IPC) == 0
    for right in range(64):
        if libc.prctl(DROP_BOUND, right, 0, 0, 0) != 0:
            break
    if number := CAPSET.get(os.uname().machine):
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        libc.syscall(number, header, (ctypes.c_uint32 * 6)())
    return bool(alone)


def _limits(memory: int, cpu_s: int, *, threads: bool) -> dict[str, bool]:
    held = {}
    for name, what, limit in (
        ("memory", resource.RLIMIT_AS, memory), ("processor", resource.RLIMIT_CPU, cpu_s),
        ("output", resource.RLIMIT_FSIZE, 0), ("", resource.RLIMIT_CORE, 0),
        ("", resource.RLIMIT_NOFILE, OPEN_FILES),
        *([] if threads else [("", resource.RLIMIT_NPROC, 0)]),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(what, (most, most))
            done = True
        except (ValueError, OSError):
            done = False
        if name:
            held[name] = done
    return held


def _refusing(who: str) -> Any:
    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _REFUSED:
            raise PermissionError(f"{who} may not {_REFUSED[event]}.")
        # A pair of connected sockets, as asyncio has one, says the same as one to be connected.
        if event == "socket.__new__" and arguments[1] != LOCAL:
            raise PermissionError(f"{who} may not open a socket.")
        if event == "open" and len(arguments) > 2:
            path, mode, flags = arguments[:3]
            writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
            if writes or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                raise PermissionError(f"{who} may not write files: {str(path)[:100]!r}.")

    return refuse
