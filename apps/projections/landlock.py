"""Which files a child may read: Landlock, where the kernel has it. Nothing may be written."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, on every architecture
VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
_SINCE = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights over files a version knows
_NET, _SCOPES = 0b11, 0b11  # TCP since 4; sockets without a file, and signals, since 6


def version(libc: ctypes.CDLL) -> int:
    """Return which Landlock this kernel has, 0 for none."""
    return max(0, int(libc.syscall(CREATE, None, 0, VERSION)))


def restrict(libc: ctypes.CDLL, readable: Iterable[str], writable: Iterable[str] = ()) -> int:
    """Keep this process from every file but these, for good; return the version, 0 for not held.

    readable  files and folders with all in them; what is not there is left out
    writable  files that may be written to, such as /dev/null
    """
    known = version(libc)
    if not known:
        return 0
    fields = [(1 << _SINCE[min(known, 5)]) - 1]
    fields += [_NET] if known >= 4 else []
    fields += [_SCOPES] if known >= 6 else []
    rules = struct.pack(f"<{len(fields)}Q", *fields)
    fd = libc.syscall(CREATE, rules, len(rules), 0)
    if fd < 0:
        return 0
    try:
        for path in readable:
            _grant(libc, fd, path, READ_FILE | READ_DIR)
        for path in writable:
            _grant(libc, fd, path, READ_FILE | WRITE_FILE)
        return known if libc.syscall(RESTRICT, fd, 0) == 0 else 0
    finally:
        os.close(fd)


def _grant(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ~READ_DIR  # a file's rule may not carry a folder's right
        libc.syscall(ADD, rules, PATH_BENEATH, struct.pack("<Qi", rights, fd), 0)
    finally:
        os.close(fd)
