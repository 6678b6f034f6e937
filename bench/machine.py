"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib.metadata import version
from pathlib import Path


def description() -> list[tuple[str, str]]:
    """Return (name, value) pairs: the machine, then the versions."""
    model = _found("/proc/cpuinfo", r"model name\s*: (.*)")
    memory = int(_found("/proc/meminfo", r"MemTotal: *([0-9]+)") or 0) / 2**20
    return [
        ("CPU", f"{os.cpu_count()} × {model or platform.machine()}"),
        ("Memory", f"{memory:.0f} GiB"),
        ("Kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("Django", version("django")),
        ("SQLite", sqlite3.sqlite_version),
        ("psycopg", version("psycopg")),
    ]


def _found(path: str, pattern: str) -> str:
    """Return the first group of a pattern in a file, "" where there is no such file or match."""
    try:
        match = re.search(pattern, Path(path).read_text())
    except OSError:
        return ""
    return match[1].strip() if match else ""


def resident_peak() -> int:
    """Return the most memory this process ever had resident, in bytes.

    Not `ru_maxrss`: that one keeps what the parent had when it forked.
    """
    return int(_found("/proc/self/status", r"VmHWM:\s*([0-9]+) kB") or 0) * 1024
