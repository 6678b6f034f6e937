from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ingest import bodies
from apps.ingest.bodies import PIECE, Cut, Lines, decoder
from apps.ingest.problems import Refused

TEXT = bytes(range(256)) * 1000


def unpacked(encoding: bytes, wire: bytes, step: int) -> bytes:
    unpack = decoder([encoding])
    pieces = [
        piece for at in range(0, len(wire), step) for piece in unpack.feed(wire[at : at + step])
    ]
    unpack.end()
    assert all(len(piece) <= PIECE for piece in pieces) or encoding == b"identity"
    return b"".join(pieces)


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_it_works(step: int) -> None:
    bare = zlib.compressobj(wbits=-15)
    assert unpacked(b"gzip", gzip.compress(TEXT), step) == TEXT
    assert unpacked(b"gzip", gzip.compress(TEXT) + gzip.compress(TEXT), step) == TEXT * 2
    assert unpacked(b"deflate", zlib.compress(TEXT), step) == TEXT
    assert unpacked(b"identity", TEXT, step) == TEXT
    assert unpacked(b"deflate", bare.compress(TEXT) + bare.flush(), step) == TEXT


def test_nothing_is_nothing() -> None:
    assert unpacked(b"gzip", b"", 1) == b""


@pytest.mark.parametrize("cut", [1, 9, 20, 100])
def test_an_end_too_early_is_an_error(cut: int) -> None:
    with pytest.raises(Refused, match="too early"):
        unpacked(b"gzip", gzip.compress(TEXT)[:-cut], 64)


def test_what_follows_deflate_is_an_error() -> None:
    with pytest.raises(Refused, match="after its end"):
        unpacked(b"deflate", zlib.compress(TEXT) + b"more", 64)


def test_a_bomb_comes_in_pieces() -> None:
    wire = gzip.compress(b"\0" * 50_000_000)
    first = next(iter(decoder([b"gzip"]).feed(wire)))
    assert len(first) <= PIECE


@given(st.lists(st.binary(max_size=30)), st.data())
def test_lines_are_those_of_the_text_however_it_arrives(
    parts: list[bytes], data: st.DataObject
) -> None:
    text = b"\n".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    lines, found = Lines(limit=1000), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += lines.feed(text[start:end])
    found += lines.end()

    expected = text.split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


@pytest.mark.parametrize("step", [1, 3, 50, 10_000])
def test_a_line_that_is_too_long_is_cut_and_its_size_known(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "KEPT_OF_A_REJECT", 5)
    text = b"short\n" + b"x" * 1000 + b"\nfits" + b"y" * 6 + b"\n" + b"z" * 11
    lines, found = Lines(limit=10), []
    for at in range(0, len(text), step):
        found += lines.feed(text[at : at + step])
    found += lines.end()

    assert found == [b"short", b"xxxxx", b"fitsyyyyyy", b"zzzzz"]
    assert [getattr(line, "size", None) for line in found] == [None, 1000, None, 11]
    assert [type(line) for line in found] == [bytes, Cut, bytes, Cut]


def test_a_line_without_end_takes_no_more_than_its_limit() -> None:
    lines = Lines(limit=1000)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
    assert sum(map(len, lines._parts)) == 1000
