"""Who does something: what the trail remembers of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a key, or whoever sits at the machine's own console."""

    name: str
    user_id: int | None = None
    ip: str = ""


CONSOLE = Actor("console")  # `manage.py`, by whoever may run it
