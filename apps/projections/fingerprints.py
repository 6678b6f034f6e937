"""What tells a projection from the same one made of other files, and the files themselves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path


def fingerprint(name: str, version: int, files: dict[str, bytes]) -> str:
    """Return what tells a projection from the same one in other files."""
    digest = hashlib.sha256(f"{name}/{version}".encode())
    for path in sorted(files):
        digest.update(files[path])
    return f"{name}@{digest.hexdigest()[:12]}"


def contents(files: Sequence[str], name: str, version: int, made: str) -> dict[str, bytes] | None:
    """Return the files a fingerprint was made of, None when they are not those any more."""
    try:
        found = {path: Path(path).read_bytes() for path in files}
    except OSError:
        return None
    return found if fingerprint(name, version, found) == made else None


def relative(files: dict[str, bytes], folders: Sequence[str]) -> dict[str, str]:
    """Return files by their names in the innermost of these folders; others are left out."""
    found = {}
    for path, raw in files.items():
        within = [folder for folder in folders if path.startswith(os.path.join(folder, ""))]
        if within:
            found[os.path.relpath(path, max(within, key=len))] = raw.decode("utf-8", "replace")
    return found
