"""Foreign text for a terminal: nothing in it moves the cursor, turns the text or hides."""

from __future__ import annotations

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LONGEST = 200


def visible(text: str, *, longest: int = LONGEST) -> str:
    """Return `text` with escapes for control and format characters, and cut where it is long."""
    shown = text[:longest]
    if not shown.isprintable():
        shown = "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in shown)
    return f"{shown}…" if len(text) > longest else shown


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
