"""Taps under test: run here until something is true, on files in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.access.actor import CONSOLE
from apps.eventlog.places import Line
from apps.ingest.commands import taps
from apps.ingest.commands.run import Supervisor
from apps.ingest.models import Tap
from tests.services import wait_for


@contextmanager
def running(*names: str) -> Iterator[Supervisor]:
    """Run taps as `manage.py ingest` does, in a thread."""
    stopping = threading.Event()
    supervisor = Supervisor(names)
    thread = threading.Thread(target=supervisor.run, args=(stopping,))
    thread.start()
    try:
        yield supervisor
    finally:
        stopping.set()
        thread.join()


def until(tap: Tap, done: Callable[[Tap], bool], what: str) -> Tap:
    """Wait until a tap's row says what is waited for, and return it."""

    def look() -> bool:
        tap.refresh_from_db()
        return done(tap)

    wait_for(look, f"{what}; {tap.state}: {tap.said}")
    return tap


def follow(line: Line, folder: Path, name: str = "logs", **settings: Any) -> Tap:
    """Make a tap on the files in a folder."""
    return taps.add(line, name, "files", {"path": str(folder)} | settings, by=CONSOLE)


def write(folder: Path, *lines: bytes, file: str = "a.ndjson") -> None:
    """Write lines to a file in a folder."""
    with (folder / file).open("ab") as out:
        out.writelines(line + b"\n" for line in lines)
