"""Bytes of any kind in parts: as text, and as hexadecimal beside what can be printed."""

from __future__ import annotations

from typing import NamedTuple

from apps.pages.words import visible

TEXT = 32 * 1024  # bytes of text in a part
HEX = 4 * 1024  # bytes in a part of hexadecimal
WIDTH = 16


class Chunk(NamedTuple):
    """A part as text. `next` is where the following one begins, None at the end."""

    text: str
    next: int | None
    rest: int


class Lines(NamedTuple):
    """A part as hexadecimal: (offset, bytes, characters) a line."""

    lines: list[tuple[str, str, str]]
    next: int | None
    rest: int


def text(data: bytes, offset: int = 0) -> Chunk:
    """Return up to 32 KiB from `offset` on as text; a part ends between characters, not within one.

    Bytes that are no UTF-8 and characters that cannot be seen are written out; newlines stay.
    """
    end = min(len(data), max(0, offset) + TEXT)
    while offset < end < len(data) and data[end] & 0xC0 == 0x80 and end > offset + TEXT - 4:
        end -= 1
    lines = data[max(0, offset) : end].decode("utf-8", "backslashreplace").split("\n")
    shown = "\n".join("\t".join(map(visible, line.split("\t"))) for line in lines)
    return Chunk(shown, end if end < len(data) else None, len(data) - end)


def hexadecimal(data: bytes, offset: int = 0) -> Lines:
    """Return up to 4 KiB from `offset` on as lines of 16 bytes."""
    offset = max(0, offset) // WIDTH * WIDTH
    end = min(len(data), offset + HEX)
    lines = [_line(data[at : min(at + WIDTH, end)], at) for at in range(offset, end, WIDTH)]
    return Lines(lines, end if end < len(data) else None, max(0, len(data) - end))


def _line(part: bytes, at: int) -> tuple[str, str, str]:
    halves = part[:8].hex(" "), part[8:].hex(" ")
    characters = "".join(chr(b) if 32 <= b < 127 else "·" for b in part)
    return f"{at:08x}", f"{halves[0]:<23}  {halves[1]:<23}", characters
