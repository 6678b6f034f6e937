"""Code as it was at a revision of its git repository, written to a folder file by file.

Nothing of the repository is run for it: no hooks, no filters, no fetching; links and submodules are
left out. Folders named as packages of evdebug's own are left out, too, as they are never imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LENGTH = 200  # letters of a revision's name
FILES, BYTES = 50_000, 256 * 1024 * 1024
SECONDS = 60
OWN = ("apps", "evdebug")
_REGULAR = (b"100644", b"100755")
_QUIET = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}  # fmt: skip


class NoRevision(Exception):
    """There is no such revision, or it cannot be had; the message says why."""


class Repository:
    """The repository a folder lies in. raises  NoRevision where it lies in none"""

    def __init__(self, folder: str) -> None:
        if shutil.which("git") is None:
            raise NoRevision("There is no git on this machine.")
        self.folder = os.path.realpath(folder)
        found = self._git("rev-parse", "--show-toplevel", "--show-prefix").decode().split("\n")
        self.top, self.prefix = found[0], found[1]
        if self._is_partial():
            raise NoRevision(f"{self.top} is a partial clone; its files would have to be fetched.")

    def _is_partial(self) -> bool:
        words = ("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$")
        try:
            return bool(self._git(*words))
        except NoRevision:
            return False

    def commit(self, name: str) -> str:
        """Return the id of the commit a branch, a tag or an id names. raises  NoRevision"""
        fits = 0 < len(name) <= LENGTH and name.isprintable() and not name.startswith("-")
        if not fits:
            raise NoRevision(f"{name[:40]!r} is no name of a revision.")
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        try:
            return self._git(*words).decode().strip()
        except NoRevision:
            raise NoRevision(f"{self.top} has no revision {name!r}.") from None

    def write(self, commit: str, folder: Path) -> Path:
        """Write the files of a commit and return where in `folder` this repository's folder is.

        raises  NoRevision for too many or too large ones
        """
        files = list(self._files(commit))
        if len(files) > FILES or sum(file.size for file in files) > BYTES:
            raise NoRevision(
                f"The revision has {len(files)} files; at most {FILES} of {BYTES} bytes in all are"
                " checked out."
            )
        contents = self._contents([file.blob for file in files])
        for file, content in zip(files, contents, strict=True):
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / self.prefix

    def _files(self, commit: str) -> Iterator[_File]:
        for row in self._git("ls-tree", "-r", "-z", "-l", "--full-tree", commit).split(b"\0"):
            if not row:
                continue
            about, _, name = row.partition(b"\t")
            mode, _, blob, size = about.split()
            path = os.fsdecode(name)
            inside = path.removeprefix(self.prefix)
            if mode in _REGULAR and inside.partition("/")[0] not in OWN:
                yield _File(path, blob.decode(), int(size))

    def _contents(self, blobs: list[str]) -> Iterator[bytes]:
        asked = "".join(f"{blob}\n" for blob in blobs).encode()
        raw = memoryview(self._git("cat-file", "--batch", said=asked))
        at = 0
        for blob in blobs:
            end = bytes(raw[at : at + 200]).index(b"\n") + at
            head = bytes(raw[at:end]).split()
            if len(head) != 3 or head[0].decode() != blob:
                raise NoRevision(f"{self.top} lacks a file of this revision.")
            size = int(head[2])
            yield bytes(raw[end + 1 : end + 1 + size])
            at = end + 2 + size

    def _git(self, *words: str, said: bytes = b"") -> bytes:
        """Return what git answers. raises  NoRevision"""
        command = [
            "git", "-c", "safe.directory=*", "-c", f"core.hooksPath={os.devnull}",
            "-c", "core.fsmonitor=false", "-C", self.folder, *words,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, input=said, capture_output=True, timeout=SECONDS, check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), **_QUIET},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoRevision(f"git did not answer: {type(error).__name__}.") from error
        if done.returncode:
            why = done.stderr.decode("utf-8", "replace").strip().split("\n")[0][:200]
            raise NoRevision(why.removeprefix("fatal: ") or "git knows no such thing.")
        return done.stdout


class _File(NamedTuple):
    path: str
    blob: str
    size: int
