"""Which system calls a child may make: a seccomp filter, for x86-64 and aarch64.

What is named may be called; all else fails with EPERM, what this kernel is too young or the C
library too careful for with ENOSYS. Nothing in it opens a socket, starts a process or a program,
follows or signals another process, mounts, or makes a namespace. A few calls may be made with some
arguments only: threads, a signal to oneself, a pair of connected sockets within the process.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

# name x86-64 aarch64
_NAMED = """
    read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; close 3 57;
    close_range 436 436; lseek 8 62; futex 202 98; mmap 9 222; mprotect 10 226; munmap 11 215;
    mremap 25 216; brk 12 214; madvise 28 233; mincore 27 232; msync 26 227; openat 257 56;
    open 2 -; newfstatat 262 79; fstat 5 80; stat 4 -; lstat 6 -; statx 332 291; access 21 -;
    faccessat 269 48; faccessat2 439 439; readlink 89 -; readlinkat 267 78; getdents 78 -;
    getdents64 217 61; getcwd 79 17; statfs 137 43; fstatfs 138 44; fadvise64 221 223; dup 32 23;
    dup2 33 -; dup3 292 24; fcntl 72 25; ioctl 16 29; pipe 22 -; pipe2 293 59; poll 7 -;
    ppoll 271 73; select 23 -; pselect6 270 72; epoll_create 213 -; epoll_create1 291 20;
    epoll_ctl 233 21; epoll_wait 232 -; epoll_pwait 281 22; epoll_pwait2 441 441;
    eventfd2 290 19; sendto 44 206; recvfrom 45 207; sendmsg 46 211; recvmsg 47 212;
    shutdown 48 210; getsockopt 55 209; setsockopt 54 208; getsockname 51 204;
    getpeername 52 205; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139;
    rt_sigpending 127 136; rt_sigtimedwait 128 137; sigaltstack 131 132; restart_syscall 219 128;
    nanosleep 35 101; clock_nanosleep 230 115; clock_gettime 228 113; clock_getres 229 114;
    gettimeofday 96 169; time 201 -; times 100 153; getitimer 36 102; setitimer 38 103;
    alarm 37 -; pause 34 -; getpid 39 172; getppid 110 173; gettid 186 178; getuid 102 174;
    geteuid 107 175; getgid 104 176; getegid 108 177; getresuid 118 148; getresgid 120 150;
    getgroups 115 158; getpgrp 111 -; getpgid 121 155; getsid 124 156; getrlimit 97 163;
    getrusage 98 165; sysinfo 99 179; uname 63 160; getrandom 318 278; sched_yield 24 124;
    sched_getaffinity 204 123; sched_getparam 143 121; sched_getscheduler 145 120;
    getpriority 140 141; set_tid_address 218 96; set_robust_list 273 99; get_robust_list 274 100;
    rseq 334 293; membarrier 324 283; arch_prctl 158 -; getcpu 309 168; exit 60 93;
    exit_group 231 94
"""

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # AUDIT_ARCH_*, column
# clone, clone3, tgkill, kill, socketpair, prctl, openat
_SPECIAL = ((56, 435, 234, 62, 53, 157, 257), (220, 435, 131, 129, 199, 167, 56))
NEWEST = 462  # what came later than this table is not known here
X32 = 0x40000000  # the other numbering of x86-64

LOAD, EQUAL, AT_LEAST, ANY_BIT, MASK, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
KILL, ALLOW, EPERM, ENOSYS = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026
NUMBER, ARCHITECTURE, FIRST, SECOND, THIRD = 0, 4, 16, 24, 32  # offsets, of arguments' low halves
CLONE_THREAD, AF_UNIX, SOCK_STREAM, O_TRUNC = 0x10000, 1, 1, 0o1000
PR_SET_NAME, PR_GET_NAME = 15, 16
SET_SECCOMP, FILTER = 22, 2

Step = tuple[int, int, int, int]


def allowed(column: int) -> list[int]:
    """Return the numbers of the calls that may be made with any arguments."""
    words = (entry.split() for entry in _NAMED.replace("\n", " ").split(";"))
    return [int(entry[1 + column]) for entry in words if entry and entry[1 + column] != "-"]


def program(architecture: int, column: int, pid: int, *, threads: bool, truncate: bool) -> bytes:
    """Return the filter. `truncate`: whether files may be opened to be emptied."""
    clone, clone3, tgkill, kill, socketpair, prctl, openat = _SPECIAL[column]
    steps: list[Step] = [
        (LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, EPERM),
    ]  # fmt: skip
    calls = allowed(column)
    if not truncate:
        steps += _when(openat, [(LOAD, 0, 0, THIRD), (ANY_BIT, 1, 0, O_TRUNC)])
        calls = [number for number in calls if number not in (openat, 2 if column == 0 else -1)]
    for number in calls:
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    if threads:
        steps += _when(clone, [(LOAD, 0, 0, FIRST), (ANY_BIT, 0, 1, CLONE_THREAD)])
    for number in (tgkill, kill):
        steps += _when(number, [(LOAD, 0, 0, FIRST), (EQUAL, 0, 1, pid)])
    steps += _when(prctl, [(LOAD, 0, 0, FIRST), (EQUAL, 0, 1, PR_SET_NAME)])
    steps += [
        (EQUAL, 0, 7, socketpair),
        (LOAD, 0, 0, FIRST), (EQUAL, 0, 4, AF_UNIX),
        (LOAD, 0, 0, SECOND), (MASK, 0, 0, 0xF), (EQUAL, 0, 1, SOCK_STREAM),
        (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM),
        (EQUAL, 0, 1, clone3), (RETURN, 0, 0, ENOSYS),
        (AT_LEAST, 0, 1, NEWEST + 1), (RETURN, 0, 0, ENOSYS),
        (RETURN, 0, 0, EPERM),
    ]  # fmt: skip
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _when(number: int, test: list[Step]) -> list[Step]:
    """Return steps that allow a call when a test of two steps holds, and refuse it else.

    The test's second step goes on for "allow" and skips one for "refuse".
    """
    return [(EQUAL, 0, len(test) + 2, number), *test, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM)]


def restrict(libc: ctypes.CDLL, *, threads: bool, truncate: bool) -> bool:
    """Put the filter on this process, for good; False where the kernel or machine has none."""
    if platform.machine() not in ARCHITECTURES:
        return False
    architecture, column = ARCHITECTURES[platform.machine()]
    made = program(architecture, column, os.getpid(), threads=threads, truncate=truncate)
    code = ctypes.create_string_buffer(made, len(made))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    whole = Program(len(made) // 8, ctypes.addressof(code))
    pointer = ctypes.c_ulong(ctypes.addressof(whole))
    return bool(libc.prctl(SET_SECCOMP, ctypes.c_ulong(FILTER), pointer, 0, 0) == 0)
