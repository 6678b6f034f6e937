from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.pages import chunks


def test_text_ends_between_characters() -> None:
    data = ("é" * 20_000).encode()
    first = chunks.text(data)
    assert first.next is not None
    assert first.text + chunks.text(data, first.next).text == "é" * 20_000
    assert first.rest == len(data) - first.next


def test_what_is_no_text_is_written_out() -> None:
    assert (
        chunks.text(b"a\xff\x00\x1b[31m\xe2\x80\xae\n\tb").text
        == "a\\xff\\u0000\\u001b[31m\\u202e\n\tb"
    )


def test_bytes_as_hexadecimal() -> None:
    first = chunks.hexadecimal(b"GIF89a\x00\xff<script>alert")
    assert first.lines[0] == (
        "00000000",
        "47 49 46 38 39 61 00 ff  3c 73 63 72 69 70 74 3e",
        "GIF89a··<script>",
    )
    assert first.lines[1][2] == "alert"
    assert first.next is None


@given(st.binary(max_size=100_000))
def test_parts_are_the_whole(data: bytes) -> None:
    at: int | None = 0
    hexes = ""
    while at is not None:
        lines = chunks.hexadecimal(data, at)
        hexes += "".join(line[1].replace(" ", "") for line in lines.lines)
        at = lines.next
    assert hexes == data.hex()
    at, seen = 0, 0
    while at is not None:
        chunk = chunks.text(data, at)
        assert chunk.next is None or chunk.next > at
        seen, at = seen + 1, chunk.next
    assert seen <= len(data) // (chunks.TEXT - 4) + 1
