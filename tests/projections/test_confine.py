"""What hostile code in a child can do, on this kernel, with and without bubblewrap: nothing.

Each attack goes past the words of the audit hook, to the walls: system calls are made raw.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apps.projections import jail, landlock, syscalls
from apps.projections.confine import WALLS, around
from apps.projections.runner import Answer, Runner, Stopped

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the numbers of these system calls are those of Linux on x86-64",
)

SUBJECT = """
import ctypes, errno, os, sys
from evdebug.sdk import reducer

def call(*arguments):
    "Make a system call, past everything Python says about it."
    raw = ctypes.pythonapi.syscall
    raw.restype, raw.argtypes = ctypes.c_long, [ctypes.c_long] * len(arguments)
    ctypes.set_errno(0)
    return raw(*arguments)

LOCATION = ctypes.pythonapi.__errno_location
LOCATION.restype = ctypes.POINTER(ctypes.c_int)

def refused(*arguments):
    "Return the name of the error of a system call, or what it gave."
    got = call(*arguments)
    return errno.errorcode[LOCATION()[0]] if got == -1 else got

def text(words):
    buffer = ctypes.create_string_buffer(words.encode())
    KEPT.append(buffer)
    return ctypes.addressof(buffer)

KEPT = []

def answered(raw):
    "Write to the pipe as if it were the answer."
    for fd in range(3, 4096):
        try:
            os.write(fd, raw)
        except OSError:
            pass

@reducer("r", streams="a")
def r(state, event):
    scope = dict(globals())
    exec(event.data["code"], scope)
    return {"got": scope.get("got")}
"""
SECRET = "a secret of the parent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("subject")
    (made / "subject_under_attack.py").write_text(SUBJECT)
    (made / "data").mkdir()
    (made / "data" / "log.sqlite3").write_text(SECRET)
    (made / ".env").write_text(SECRET)
    (made / "shared.json").write_text('"read me"')
    return made


@pytest.fixture(scope="module", params=["alone", *(["bubblewrap"] if jail.bubblewrap() else [])])
def runner(request: pytest.FixtureRequest, folder: Path) -> Iterator[Runner]:
    """A child with that module, within our own walls alone and within bubblewrap's, too."""
    if not landlock.version(ctypes.CDLL(None)):
        pytest.skip("this kernel has no Landlock")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "alone":
            patch.setattr(jail, "bubblewrap", lambda: "")
        patch.setenv("PARENTS_SECRET", SECRET)
        made = Runner(["subject_under_attack"], [str(folder)], hidden=[str(folder / "data")])
        made.describe()
        yield made
        made.close()


def ask(runner: Runner, code: str, seconds: float = 20) -> Answer:
    event = {"id": "i", "type": "t", "source": "s", "stream": "a", "data": {"code": code},
             "time": 0, "position": 7}  # fmt: skip
    request = {"reducer": "r", "key": "a", "position": 0, "state": None, "marks": None,
               "events": [event], "every": False}  # fmt: skip
    return runner.ask(request, seconds=seconds)


def got(runner: Runner, code: str) -> Any:
    """Return what the code left in `got`; what it raised where it raised."""
    answer = ask(runner, code)
    return answer.error or msgspec.json.decode(answer.state or "null")["got"]


def test_every_wall_stands(runner: Runner) -> None:
    assert runner.error == ""
    assert runner.held == dict.fromkeys(WALLS, True)


CALLS = dict(
    line.split(": ", 1)
    for line in """
an internet socket: 41, 2, 1, 0
a unix socket: 41, 1, 1, 0
netlink: 41, 16, 3, 0
a pair that can be sent on to others: 53, 1, 2, 0, text(' ' * 8)
connect: 42, 3, 0, 0
fork: 57
vfork: 58
clone: 56, 17, 0, 0, 0, 0
exec: 59, text('/bin/true'), 0, 0
execveat: 322, -100, text('/bin/true'), 0, 0, 0
a signal to the parent: 62, os.getppid(), 9
to everybody: 62, -1, 9
to the group: 62, 0, 9
to a thread of the parent: 234, os.getppid(), os.getppid(), 9
ptrace: 101, 16, os.getppid(), 0, 0
reading another's memory: 310, os.getppid(), 0, 0, 0, 0, 0
writing it: 311, os.getppid(), 0, 0, 0, 0, 0
unshare: 272, 0x10000000
setns: 308, 3, 0
mount: 165, 0, text('/'), 0, 0, 0
umount: 166, text('/'), 0
chroot: 161, text('/')
bpf: 321, 0, 0, 0
io_uring: 425, 8, text(' ' * 200)
memory with a name: 319, text('x'), 0
shared memory: 29, 0, 4096, 0o1666
a message queue: 240, text('/q'), 64, 0o666, 0
keys: 250, 0, 0, 0, 0
perf: 298, 0, 0, 0, 0, 0
userfaultfd: 323, 0
pidfd: 434, os.getppid(), 0
outliving the parent: 157, 1, 0, 0, 0, 0
another user: 105, 1000
the clock: 227, 0, text(' ' * 16)
reboot: 169, 0xfee1dead, 672274793, 0, 0
a module for the kernel: 313, 3, text(''), 0
another limit: 302, 0, 9, text(' ' * 16), 0
the other numbering: 0x40000000 + 41, 2, 1, 0
chmod: 90, text('/tmp'), 0o777
unlink: 87, text('/tmp/x')
rename: 82, text('/tmp/x'), text('/tmp/y')
mkdir: 83, text('/tmp/x'), 0o777
symlink: 88, text('/'), text('/tmp/x')
truncate: 76, text('/tmp/x'), 0
nice: 141, 0, 0, -5
""".strip().splitlines()
)


@pytest.mark.parametrize("arguments", CALLS.values(), ids=CALLS)
def test_a_system_call_that_is_refused(runner: Runner, arguments: str) -> None:
    assert got(runner, f"got = refused({arguments})") == "EPERM"


def test_calls_the_filter_does_not_know_yet(runner: Runner) -> None:
    assert got(runner, "got = refused(435, 0, 0)") == "ENOSYS"  # clone3: the C library falls back
    assert got(runner, "got = refused(9999, 0)") == "ENOSYS"


def test_the_calls_of_another_architecture_end_the_process(runner: Runner) -> None:
    # mov eax, 20 (getpid); int 0x80; ret
    code = """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
at = ctypes.addressof(ctypes.c_char.from_buffer(page))
got = ctypes.CFUNCTYPE(ctypes.c_int)(at)()
"""
    with pytest.raises(Stopped) as stopped:
        ask(runner, code)
    assert stopped.value.position == 7


UNREADABLE = (
    "/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1/environ",
    str(Path.home() / ".bashrc"), "/var/log/dpkg.log", "/dev/mem", "/sys/kernel/version",
)  # fmt: skip


@pytest.mark.parametrize("path", UNREADABLE)
def test_a_file_that_cannot_be_read(runner: Runner, path: str) -> None:
    assert got(runner, f"got = open({path!r}, 'rb').read(9).decode('latin1')").startswith(
        ("PermissionError", "FileNotFoundError")
    )


def test_what_is_ours_alone_is_not_there(runner: Runner, folder: Path) -> None:
    assert got(runner, f"got = open({str(folder / 'shared.json')!r}).read()") == '"read me"'
    for path in (folder / "data" / "log.sqlite3", folder / ".env"):
        assert SECRET in path.read_text()
        assert "Error" in got(runner, f"got = open({str(path)!r}).read()")
    parent = f"/proc/{os.getpid()}/environ"
    assert "Error" in got(runner, f"got = open({parent!r}).read()")
    assert SECRET not in str(got(runner, "got = dict(os.environ)"))


@pytest.mark.parametrize("flags", [0o101, 0o1002, 0o2001, 0o1000])
def test_no_file_is_written(runner: Runner, folder: Path, flags: int) -> None:
    """O_CREAT and O_WRONLY, O_TRUNC and O_RDWR, O_APPEND, and O_TRUNC with reading alone."""
    for path in (folder / "shared.json", "/dev/shm/evdebug-x", folder / "new"):
        asked = f"got = refused(2, text({str(path)!r}), {flags}, 0o600)"
        assert got(runner, asked) in ("EACCES", "ENOENT", "EROFS")
    assert (folder / "shared.json").read_text() == '"read me"'
    assert not (folder / "new").exists()


def test_nothing_of_the_parents_is_open(runner: Runner) -> None:
    code = """
got = []
for fd in range(4096):
    try:
        got.append([fd, os.fstat(fd).st_mode & 0o170000])
    except OSError:
        pass
"""
    kinds = dict(got(runner, code))
    assert {kinds.pop(fd) for fd in (0, 1, 2)} == {0o020000}  # /dev/null
    assert sorted(kinds.values()) == [0o010000, 0o010000, 0o100000]  # two pipes, the position


def test_threads_cannot_be_started(runner: Runner) -> None:
    code = "import threading; threading.Thread(target=print).start()"
    assert got(runner, code).startswith("RuntimeError")


ENDING = {
    "a fault in memory": "ctypes.string_at(0)",
    "noise for an answer": "answered(b'\\4\\0\\0\\0nope')",
    "an answer that is none": "answered(b'\\2\\0\\0\\0{}')",
    "an answer without end": "answered(b'\\xff\\xff\\xff\\xff')",
    "its own end": "call(62, os.getpid(), 9)",
    "leaving": "os._exit(0)",
}


@pytest.mark.parametrize("code", ENDING.values(), ids=ENDING)
def test_what_ends_the_child_alone(runner: Runner, code: str) -> None:
    with pytest.raises(Stopped, match="process ended") as stopped:
        ask(runner, code)
    assert stopped.value.position == 7
    assert got(runner, "got = 'the next one'") == "the next one"


def test_memory_without_end(runner: Runner) -> None:
    code = "got = []\nwhile True: got.append(bytearray(1 << 27))"
    assert got(runner, code).startswith("MemoryError")


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_what_never_returns_is_ended(runner: Runner, code: str) -> None:
    with pytest.raises(Stopped, match="did not return") as stopped:
        ask(runner, code, seconds=0.7)
    assert stopped.value.position == 7


def test_what_it_prints_goes_nowhere(runner: Runner) -> None:
    flood = "for _ in range(200): print('x' * 1_000_000)\nos.write(1, b'x' * 9); got = 1"
    assert got(runner, flood) == 1


def test_the_filter_allows_no_call_that_makes_a_socket_or_a_process() -> None:
    for column, never in enumerate([{41, 42, 56, 57, 58, 59, 101, 165, 272, 321, 322, 425},
                                    {198, 203, 220, 221, 281, 117, 40, 97, 280, 425}]):  # fmt: skip
        assert not never & set(syscalls.allowed(column))
    for architecture, column in syscalls.ARCHITECTURES.values():
        made = syscalls.program(architecture, column, 1, threads=True, truncate=False)
        assert len(made) // 8 < 4096  # what the kernel takes


def test_around_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a/b/secret/key", "a/b/c.py", "a/d.py", "e.py", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = around(str(tmp_path), [str(tmp_path / "a" / "b" / "secret")])
    relative = [str(Path(path).relative_to(tmp_path)) for path in found]
    assert relative == ["a/b/c.py", "a/d.py", "e.py"]
    assert around(str(tmp_path / "nowhere")) == []
