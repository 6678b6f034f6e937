"""A run as a folder of plain files, that runs again wherever its code is.

    recipe.json      range, edits, code, options, the services whose handlers run
    events.ndjson    what was recorded in the range, an entry a line, but for the answers
    answers.ndjson   what the outside answered
    outcomes.ndjson  what copies of services outside did, for those whose code is "kept"
    earlier.ndjson   entries before the range that it refers to
    states.ndjson    {"stream", "state"} at its beginning; a state of null is none
    expected.json    what the run comes to

Times are microseconds since 1970 UTC. Data that is not JSON of one line is in `data_base64`.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from apps.eventlog.envelope import Recorded
from apps.sandbox.recalled import Kept, fault

FORMAT = "evdebug-run-1"
_BYTES = ("data", "metadata")


class BadFolder(ValueError):
    """A folder cannot be read, or not be written; the message says which file and why."""


class Recipe(msgspec.Struct, forbid_unknown_fields=True):
    """How the run is made. `services` are those whose handlers ran, with what they handle."""

    format: str
    name: str
    base: int
    until: int
    check: str = ""
    edits: list[Any] = []
    code: dict[str, Any] = {}
    options: dict[str, Any] = {}
    services: dict[str, list[str]] = {}
    redacted: bool = False


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event that differs. `position` is the recorded one, 0 for a new event."""

    verdict: str
    type: str
    stream: str
    position: int = 0
    unexpected: bool = False


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """What a run comes to. `digest` is the same for runs that make the same entries."""

    digest: str
    same: int
    changed: int
    missing: int
    new: int
    unexpected: int
    differences: list[Difference]
    states: list[tuple[str, list[dict[str, Any]]]]


class State(msgspec.Struct, forbid_unknown_fields=True):
    """A stream's state at the beginning."""

    stream: str
    state: Any


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An entry as it is written."""

    position: int
    kind: str
    id: str
    type: str
    time: int
    recorded_at: int
    log_time: int
    source: str = ""
    stream: str = ""
    revision: int | None = None
    correlation: str = ""
    causation: str = ""
    cause: int | None = None
    channel: str = ""
    partition: str = ""
    offset: str = ""
    key: str = ""
    tap: str = ""
    content_type: str = "application/json"
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"")
    metadata_base64: str = ""
    forgotten: bool = False
    seen: int = 1
    conflicts_with: int | None = None


class Folder(msgspec.Struct):
    """What a folder holds."""

    recipe: Recipe
    entries: list[Recorded]
    earlier: list[Recorded]
    states: dict[str, Any]
    expected: Expected | None = None
    kept: list[Kept] = []


# -- writing -----------------------------------------------------------------------------------


def write(folder: Folder, path: Path) -> None:
    """Write a folder that is not there yet, whole or not at all.

    raises  BadFolder
    """
    try:
        if path.exists() and any(path.iterdir()):
            raise BadFolder(f"{path} is not empty; name a folder that is not there yet.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".evdebug-") as made:
            _fill(folder, Path(made) / "run")
            if path.exists():
                path.rmdir()
            shutil.move(Path(made) / "run", path)
    except OSError as error:
        raise BadFolder(f"{path} cannot be written: {error}") from error


def _fill(folder: Folder, path: Path) -> None:
    path.mkdir()
    _json(path / "recipe.json", folder.recipe)
    if folder.expected:
        _json(path / "expected.json", folder.expected)
    answers = [e for e in folder.entries if e.kind == "response"]
    others = [e for e in folder.entries if e.kind != "response"]
    _lines(path / "events.ndjson", map(_shape, others))
    _lines(path / "answers.ndjson", map(_shape, answers))
    _lines(path / "earlier.ndjson", map(_shape, folder.earlier))
    if folder.kept:
        _lines(path / "outcomes.ndjson", folder.kept)
    _lines(path / "states.ndjson", (State(s, v) for s, v in folder.states.items()))


def _json(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def _lines(path: Path, values: Iterable[Any]) -> None:
    with path.open("wb") as file:
        file.writelines(msgspec.json.encode(value) + b"\n" for value in values)


def _shape(entry: Recorded) -> dict[str, Any]:
    """Return an entry as it is written: what says nothing is left out."""
    shape = {
        name: value for name in entry.__struct_fields__
        if name not in _BYTES and (value := getattr(entry, name)) not in (None, "")
    }  # fmt: skip
    if entry.data is None:
        shape["forgotten"] = True
    for name in _BYTES:
        if raw := getattr(entry, name):
            plain = _plain(raw)
            shape[name if plain else f"{name}_base64"] = (
                msgspec.Raw(raw) if plain else base64.b64encode(raw).decode()
            )
    return shape


def _plain(raw: bytes) -> bool:
    """Return whether bytes can stand in a line as they are, and come back as they are."""
    if b"\n" in raw or b"\r" in raw or raw != raw.strip():
        return False
    try:
        raw.decode()
        return bytes(msgspec.json.decode(raw, type=msgspec.Raw)) == raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


# -- reading -----------------------------------------------------------------------------------

T = TypeVar("T")


def read(path: Path, *, most: int) -> Folder:
    """Return what a folder holds; of at most `most` entries.

    raises  BadFolder with the file and line that is wrong
    """
    recipe = _one(path / "recipe.json", Recipe)
    if recipe.format != FORMAT:
        raise BadFolder(f"{path} is of the format {recipe.format[:40]!r}; {FORMAT} can be run.")
    if not 0 <= recipe.base < recipe.until <= recipe.base + most:
        raise BadFolder(f"{path}: expected 0 <= base < until, and at most {most} entries.")
    entries = [*_entries(path / "events.ndjson", most), *_entries(path / "answers.ndjson", most)]
    entries.sort(key=lambda e: e.position)
    places = [recipe.base, *(e.position for e in entries)]
    for before, after in itertools.pairwise(places):
        if not before < after <= recipe.until:
            raise BadFolder(f"{path}: #{after} is there twice, or not in the range.")
    states = {each.stream: each.state for each in _each(path / "states.ndjson", State, most)}
    there = (path / "expected.json").exists()
    return Folder(
        recipe, entries, list(_entries(path / "earlier.ndjson", most)), states,
        _one(path / "expected.json", Expected) if there else None,
        list(_kept(path / "outcomes.ndjson", most)),
    )  # fmt: skip


def _kept(path: Path, most: int) -> Iterator[Kept]:
    for number, each in enumerate(_each(path, Kept, most) if path.exists() else (), start=1):
        if wrong := fault(each):
            raise BadFolder(f"{path} line {number}: {wrong}")
        yield each


def _one(path: Path, type: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFolder(f"{path} cannot be read: {error}") from error


def _each(path: Path, type: type[T], most: int) -> Iterator[T]:
    number = 0
    decode = msgspec.json.Decoder(type).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number > most:
                    raise BadFolder(f"{path} has more than {most} lines.")
                yield decode(line)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFolder(f"{path} line {number} cannot be read: {error}") from error


def _entries(path: Path, most: int) -> Iterator[Recorded]:
    for number, line in enumerate(_each(path, _Line, most), start=1):
        fields = msgspec.structs.asdict(line)
        encoded = {name: fields.pop(f"{name}_base64") for name in _BYTES}
        try:
            for name, text in encoded.items():
                raw = base64.b64decode(text, validate=True) if text else bytes(fields[name])
                fields[name] = raw
        except (binascii.Error, ValueError) as error:
            raise BadFolder(f"{path} line {number}: {error}") from error
        if fields.pop("forgotten"):
            fields["data"] = None
        if fields["metadata"] and fields["metadata"][:1] != b"{":
            raise BadFolder(f"{path} line {number}: metadata is an object.")
        yield Recorded(**fields)
