"""What a shop that may be killed keeps of its past: when it began, and whether all of it was sent.

The same seed, start and length give the same bytes, and the log takes an event once: a past that
was cut off is sent again from its beginning, and only its rest is new.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Begun:
    """A past: `start` and `length` in ms, and whether it was `sent` to the end."""

    start: int
    length: int
    sent: bool = False


def read(path: Path) -> Begun | None:
    """Return what was kept; None where nothing was, or nothing of ours."""
    try:
        held = json.loads(path.read_bytes())
        return Begun(int(held["start"]), int(held["length"]), held["sent"] is True)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(path: Path, begun: Begun) -> None:
    """Write it as a whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    text = json.dumps({"start": begun.start, "length": begun.length, "sent": begun.sent})
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
