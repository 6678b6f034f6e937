"""What a server reads of a client's frames by itself, and leaves to the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdebug.sockets import short


def frame(text: bytes, mask: bytes = b"\x00\x00\x00\x00", first: int = 0x81) -> bytes:
    """Return a client's frame (RFC 6455, 5.2) of fewer than 126 bytes."""
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
    return bytes([first, 0x80 | len(text)]) + mask + body


@given(st.text(st.characters(max_codepoint=127), max_size=125), st.binary(min_size=4, max_size=4))
def test_it_works(text: str, mask: bytes) -> None:
    assert short(frame(text.encode(), mask)) == text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x81", frame(b"16")[:-1], frame(b"16") + frame(b"32"),  # not one whole frame
        frame(b"1", first=0x01), frame(b"1", first=0x80),  # part of a message
        frame(b"1", first=0x82), frame(b"", first=0x88), frame(b"", first=0x8A),  # of other kinds
        frame(b"1", first=0xC1), b"\x81\x0216",  # compressed; unmasked
        frame("é".encode()), frame(b"\xff"), b"\x81\xfe\x00\x7e" + bytes(4) + b"x" * 126,
    ],
)  # fmt: skip
def test_all_else_goes_the_long_way(data: bytes) -> None:
    assert short(data) is None


@given(st.binary(max_size=140))
def test_nonsense_stops_nobody(data: bytes) -> None:
    text = short(data)
    assert text is None or text.isascii()
