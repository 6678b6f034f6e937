"""Files on this machine, followed as `tail -F` does: one event a line, or an array of events.

A lane of the cursor is a path; its place says which file it was (a path's file may be moved aside
and another begun) and how many bytes of it are read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import msgspec

from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Gap,
    Guarantee,
    Lag,
    Line,
    Record,
    Refused,
    Setting,
    Surroundings,
)
from apps.ingest.connectors.files_places import (
    LINE,
    Place,
    digest,
    emptied,
    inode,
    is_array,
    is_at_end,
    lost,
    opened_if,
    skipped,
)
from apps.ingest.problems import Invalid
from apps.ingest.split import elements_of

BYTES = 8 * 1024 * 1024
ARRAY = 64 * 1024 * 1024
PREFIX = 256  # bytes that tell a file from another one that was given its inode later
PAUSE = 0.2
FILES = 10_000
OPEN = 200  # files at their end that stay open
PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip")


class Files:
    """The lines of all files a path names."""

    bus: ClassVar[str] = "files"
    title: ClassVar[str] = "Files"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("path", "File, folder or pattern", kind="path", required=True,
                help="a file, a folder, or a pattern such as /var/log/shop/*.ndjson"),
        Setting("start", "Start at", kind="choice", default="beginning",
                choices=("beginning", "now"), help="beginning or now"),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._path: str = settings["path"]
        self._start: str = settings["start"]
        self._around = around
        if not os.path.isabs(self._path):
            raise BadSettings(f"setting path is {self._path!r}; expected an absolute path")
        self._places: dict[str, Place] = {}
        self._open: dict[str, BinaryIO] = {}

    def guarantee(self) -> Guarantee:
        return Guarantee(
            "exactly_once",
            "Every line exactly once, also after a crash, as long as files are moved aside rather "
            "than deleted or emptied before they were read to the end.",
        )

    def place(self) -> str:
        return self._path

    def check(self) -> Checked:
        try:
            paths = self._paths()
        except Refused as refused:
            return Checked([Line("problem", str(refused))])
        if not paths:
            return Checked([Line("note", "Nothing is there yet; files are read once they appear.")])
        sizes = sum(os.path.getsize(path) for path in paths)
        lines = [Line("ok", f"{len(paths)} files with {sizes:,} bytes can be read.")]
        newest = max(paths, key=os.path.getmtime)
        return Checked(lines, list(self._sample(newest)))

    def _sample(self, path: str) -> Iterator[Record]:
        with open(path, "rb") as source:
            place = Place(0, 0)
            for _ in range(3):
                line = source.readline(LINE)
                if not line.endswith(b"\n") or line.lstrip()[:1] == b"[":
                    return
                yield self._record(path, place, line)
                place.offset = source.tell()

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._places = {path: msgspec.json.decode(p, type=Place) for path, p in cursor.items()}
        self._untold = not cursor
        if self._untold and self._start == "now":
            for path in self._paths():
                self._places[path] = self._marked(path, os.path.getsize(path), 0)

    def read(self, *, limit: int, wait: float) -> Batch:
        until = time.monotonic() + wait
        while True:
            batch = self._round(limit)
            if batch or time.monotonic() >= until or self._around.stopping():
                return batch
            time.sleep(min(PAUSE, max(until - time.monotonic(), 0)))

    def _round(self, limit: int) -> Batch:
        records: list[Record] = []
        gaps: list[Gap] = []
        size = 0
        for path in self._followed():
            for record in self._lines(path, gaps):
                records.append(record)
                size += len(record.body or b"")
                if len(records) >= limit or size >= BYTES:
                    return self._batch(records, gaps)
        return self._batch(records, gaps)

    def _batch(self, records: list[Record], gaps: list[Gap]) -> Batch:
        if not records and not gaps and not (self._untold and self._places):
            return Batch()
        self._untold = False
        cursor = {p: msgspec.json.encode(place).decode() for p, place in self._places.items()}
        return Batch(records, gaps=gaps, cursor=cursor)

    def _followed(self) -> list[str]:
        """Return the paths to read, in order, and stop following files that are gone."""
        paths = self._paths()
        held = {self._places[p].inode for p in self._places}
        fresh = [p for p in paths if p in self._places or inode(p) not in held]
        gone = [p for p in self._open if p not in fresh]
        return sorted({*fresh, *gone})

    def _lines(self, path: str, gaps: list[Gap]) -> Iterator[Record]:
        """Yield what is new in a path: the rest of a file that was moved aside, then its heir."""
        source = self._source(path, gaps)
        if source is None:
            return
        place = self._places[path]
        yield from self._rest(path, place, source)
        if inode(path) == place.inode:
            return
        # Moved aside: whoever wrote it has gone on to another, so what is left is all there is.
        source.seek(place.offset)
        if last := source.read(LINE):
            if last.strip():
                yield self._record(path, self._passed(place, len(last)), last)
            else:
                place.offset += len(last)
        self._finish(path, place)

    def _source(self, path: str, gaps: list[Gap]) -> BinaryIO | None:
        """Return the file a path's place is in, opened."""
        place, source = self._places.get(path), self._open.get(path)
        if source is None:
            if place and is_at_end(path, place):
                return None
            source = self._reopened(path, place, gaps)
            if source is None:
                return None
            self._open[path] = source
            place = self._places[path]
        assert place is not None
        if os.fstat(source.fileno()).st_size < place.offset:
            gaps.append(emptied(path, place))
            place.begin_again()
        return source

    def _reopened(self, path: str, place: Place | None, gaps: list[Gap]) -> BinaryIO | None:
        """Open the file that `place` is in, wherever it was moved to; else the one at `path`."""
        if place is not None:
            for candidate in (path, *self._beside(path)):
                if source := opened_if(candidate, place):
                    return source
            if place.mark and place.offset:
                gaps.append(lost(path, place))
        if inode(path) is None:
            return None
        generation = 0 if place is None else place.generation + bool(place.inode)
        self._places[path] = self._marked(path, 0, generation)
        return open(path, "rb")

    def _marked(self, path: str, offset: int, generation: int) -> Place:
        with open(path, "rb") as source:
            head = source.read(PREFIX)
            inode = os.fstat(source.fileno()).st_ino
        return Place(inode, offset, generation, len(head), digest(head))

    def _beside(self, path: str) -> list[str]:
        folder = os.path.dirname(path)
        try:
            names = os.listdir(folder)[:FILES]
        except OSError:
            return []
        return [os.path.join(folder, n) for n in names if not n.endswith(PACKED)]

    def _finish(self, path: str, place: Place) -> None:
        self._open.pop(path).close()
        for moved in self._paths():
            if inode(moved) == place.inode:  # followed under its new name, and read already
                self._places[moved] = msgspec.structs.replace(place, generation=0)
        # Not removed: the file that comes next must have another epoch.
        self._places[path] = Place(0, 0, place.generation + 1)

    def _rest(self, path: str, place: Place, source: BinaryIO) -> Iterator[Record]:
        source.seek(place.offset)
        if place.offset == 0:
            self._remember(place, source)
            if is_array(source):
                yield from self._elements(path, place, source)
                return
        while line := source.readline(LINE + 1):
            if not line.endswith(b"\n"):
                if len(line) <= LINE:
                    return  # still being written
                line = line[: LINE + 1] + skipped(source)
            passed = self._passed(place, source.tell() - place.offset)
            if line.strip():
                yield self._record(path, passed, line)
        if len(self._open) > OPEN and is_at_end(path, place):
            self._open.pop(path).close()

    def _remember(self, place: Place, source: BinaryIO) -> None:
        head = source.read(PREFIX)
        source.seek(0)
        place.prefix, place.mark = len(head), digest(head)

    def _passed(self, place: Place, size: int) -> Place:
        """Move a place on and return where it was."""
        before = msgspec.structs.replace(place)
        place.offset += size
        return before

    def _record(self, path: str, place: Place, line: bytes) -> Record:
        return Record(
            body=line.rstrip(b"\r\n"), channel=path, offset=str(place.offset), epoch=place.epoch
        )  # fmt: skip

    def _elements(self, path: str, place: Place, source: BinaryIO) -> Iterator[Record]:
        """Yield the events of an array once the file has not grown since the last look."""
        size = os.fstat(source.fileno()).st_size
        if size != place.size or size > ARRAY:
            place.size = size
            return
        whole = source.read(size)
        try:
            elements = [bytes(raw) for raw in elements_of(whole)]
        except Invalid:
            elements = [whole]  # the decoder says what is wrong with it
        # All in one go: a place inside an array could not be told from one inside lines.
        place.offset = size
        for number, raw in enumerate(elements):
            yield Record(
                body=raw, channel=path, offset=str(number), epoch=place.epoch,
                content_type="application/json",
            )  # fmt: skip

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag:
        return Lag(records=None)

    def close(self) -> None:
        for source in self._open.values():
            source.close()
        self._open = {}

    def _paths(self) -> list[str]:
        """Return the files the setting names now, in order.  raises  Refused"""
        path = Path(self._path)
        found: Iterator[Path] = iter(())
        if path.is_dir():
            found = path.iterdir()
        elif path.exists():
            found = iter([path])
        elif any(c in path.name for c in "*?["):
            found = path.parent.glob(path.name)
        try:
            names = sorted(str(p) for p in found if p.is_file() and not p.name.endswith(PACKED))
        except OSError as error:
            raise Refused(f"{self._path} cannot be read: {error.strerror}") from None
        return [n for n in names if self._readable(n)]

    def _readable(self, name: str) -> bool:
        if Path(name).name.startswith("."):
            return False
        if not self._around.may_read(os.path.realpath(name)):
            raise Refused(f"{name} must not be read by a tap; the administrator can allow it")
        if not os.access(name, os.R_OK):
            raise Refused(f"{name} cannot be read: give evdebug's user the right to")
        return True
