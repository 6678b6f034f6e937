from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apps.ingest import jsonscan
from apps.ingest.jsonscan import Malformed, TooComplex, elements, members, more_than
from tests.ingest.test_decode import JSON_VALUES


def test_it_works() -> None:
    assert elements(b' [1, {"a": [2]}, "x,]" ]') == [b"1", b'{"a": [2]}', b'"x,]"']
    assert members(b'{"a":1, "b" : [ ] }') == [(b'"a"', b"1"), (b'"b"', b"[ ]")]


@given(st.lists(JSON_VALUES), st.sampled_from([None, 1]))
def test_it_takes_arrays_apart_as_msgspec_does(values: list[Any], indent: int | None) -> None:
    text = json.dumps(values, indent=indent).encode()
    try:
        expected = [bytes(raw) for raw in msgspec.json.decode(text, type=list[Raw])]
    except msgspec.DecodeError:  # half a surrogate pair, which the scanner alone takes
        expected = None

    found = elements(text)

    assert found is not None
    assert expected is None or found == expected
    assert [json.loads(each) for each in found] == values


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_it_takes_objects_apart(values: dict[str, Any]) -> None:
    found = members(json.dumps(values).encode())

    assert found is not None
    assert {json.loads(name): json.loads(value) for name, value in found} == values


@given(JSON_VALUES, st.lists(st.tuples(st.integers(0, 500), st.sampled_from(b'[]{},:"\\1ae. \n'))))
def test_it_is_as_strict_as_msgspec(value: Any, changes: list[tuple[int, int]]) -> None:
    text = bytearray(json.dumps(value).encode())
    for at, byte in changes:
        text[at % len(text)] = byte
    try:
        msgspec.json.decode(bytes(text), type=Raw)
    except msgspec.DecodeError:
        is_json = False
    else:
        is_json = True

    if is_json or not jsonscan.LONE.search(text):
        assert accepts(bytes(text)) == is_json


def accepts(text: bytes) -> bool:
    try:
        elements(text)
    except Malformed:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "at"),
    [(b"", 0), (b"[", 1), (b"[1,]", 3), (b'{"a"}', 4), (b"[1]x", 3), (b"  nul", 2), (b'["a', 1)],
)
def test_it_names_the_byte(text: bytes, at: int) -> None:
    with pytest.raises(Malformed) as malformed:
        elements(text)
    assert malformed.value.at == at


def test_other_json_is_neither() -> None:
    assert elements(b"{}") is None
    assert members(b"[]") is None
    assert members(b"3") is None


LONG = {
    "letters": b'["' + b"a" * 5_000_000,
    "escapes": b'["' + rb"\n" * 2_000_000,
    "brackets": b"[" * 1_500_000,
    "backslashes": b'["' + b"\\" * 99_999,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_no_text_takes_it_long(text: bytes) -> None:
    with pytest.raises(Malformed):
        elements(text)


def test_it_gives_up_on_too_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonscan, "TOKENS", 100)
    with pytest.raises(TooComplex):
        elements(b"[" + b"1," * 100 + b"1]")


@given(st.lists(JSON_VALUES, max_size=12), st.integers(1, 12), st.sampled_from([7, 64, 1 << 20]))
def test_it_counts_items_without_parsing(values: list[Any], limit: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonscan, "BLOCK", block)
        assert more_than(json.dumps(values).encode(), limit) == (len(values) > limit)


@given(st.binary(max_size=100))
def test_counting_never_fails(text: bytes) -> None:
    more_than(text, 1)
