"""The one character no database keeps in its JSON: found before it is handed over, or replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUL, INSTEAD = "\0", "\ufffd"


def without(value: Any) -> Any:
    """Return a JSON value with another character in the place of each NUL."""
    if isinstance(value, str):
        return value.replace(NUL, INSTEAD)
    if isinstance(value, Mapping):
        return {without(name): without(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without(each) for each in value]
    return value


def has(value: Any) -> bool:
    """Return whether a JSON value holds a NUL anywhere."""
    if isinstance(value, str):
        return NUL in value
    if isinstance(value, Mapping):
        return any(has(name) or has(each) for name, each in value.items())
    return isinstance(value, list | tuple) and any(map(has, value))
