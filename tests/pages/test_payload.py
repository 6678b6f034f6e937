from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Undecodable
from apps.pages import payload, wide
from apps.pages.payload import find, leaves, part, tree, value_at

pytestmark = pytest.mark.only("sqlite")

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def shape(node: payload.Node) -> Any:
    if not node.container:
        return node.text
    children = [(child.key, shape(child)) for child in node.children or ()]
    return dict(children) if node.kind == "object" else [value for _, value in children]


def test_it_works() -> None:
    root = tree(b'{"total":129.00,"psp":{"key":null},"lines":[{"qty":1}]}')
    assert shape(root) == {
        '"total"': "129.00", '"psp"': {'"key"': "null"}, '"lines"': [{'"qty"': "1"}],
    }  # fmt: skip
    assert [(c.pointer, c.open) for c in root.children or ()] == [
        ("/total", False), ("/psp", True), ("/lines", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "number", ["129.00", "1e400", "-0", "123456789012345678901234567890", "1E+2"]
)
def test_digits_stay_as_they_were_sent(number: str) -> None:
    assert shape(tree(f"[{number}]".encode())) == [number]


def test_text_that_would_turn_the_page_is_written_out() -> None:
    assert shape(tree('{"a":"x\u202e<script>"}'.encode())) == {'"a"': '"x\\u202e<script>"'}


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[1,]",
        b"nul",
        b'{"a":01}',
        b"\xff",
        b"[" * 100_000 + b"]" * 100_000,
        b'"\\ud800"',
        b"NaN",
        b"<a/>",
    ],
)  # fmt: skip
def test_what_is_no_json_is_not_shown_as_a_tree(data: bytes) -> None:
    with pytest.raises(Undecodable):
        tree(data)


@given(JSON)
def test_every_value_is_found_by_its_pointer(value: Any) -> None:
    data = json.dumps(value, ensure_ascii=False).encode()

    def walk(value: Any, pointer: str) -> None:
        assert json.loads(find(data, pointer)) == value
        items = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        for key, child in items:
            walk(child, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    walk(value, "")


@pytest.mark.parametrize("pointer", ["/b", "/a/9", "/a/x", "/a/-1", "/a/0/0", "/"])
def test_a_pointer_to_nothing(pointer: str) -> None:
    with pytest.raises(KeyError):
        find(b'{"a":[1]}', pointer)


def test_children_come_in_parts() -> None:
    data = json.dumps(list(range(250))).encode()
    root = tree(data)
    assert (len(root.children or ()), root.count, root.more) == (100, 250, 100)
    last = part(data, "", offset=200)
    assert [c.text for c in last.children or ()] == [str(n) for n in range(200, 250)]
    assert (last.children or [])[0].pointer == "/200"
    assert last.more is None


def test_long_strings_come_in_parts() -> None:
    data = json.dumps({"a": "x" * 5000}).encode()
    (child,) = tree(data).children or []
    assert (len(child.text), child.rest, child.more) == (2002, 3000, 2000)
    last = part(data, "/a", offset=4000)
    assert (last.text, last.rest, last.more) == ('"' + "x" * 1000 + '"', 0, None)


def test_deep_values_are_drawn_when_they_are_opened() -> None:
    data = json.dumps([[[n] * 50] * 20 for n in range(20)]).encode()
    root = tree(data)
    drawn = sum(1 for _ in nodes(root))
    assert drawn <= payload.NODES + 1000
    closed = next(n for n in nodes(root) if n.container and n.children is None)
    assert len(part(data, closed.pointer).children or ()) > 0


def nodes(node: payload.Node) -> Any:
    yield node
    for child in node.children or ():
        yield from nodes(child)


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"1," * 4_999_999 + b"1]",
        b"[" + b",".join(b'{"id":%d,"name":"%s"}' % (n, b"x" * 400) for n in range(23_000)) + b"]",
        b"{" + b",".join(b'"k%d":"a\\\\\\"],"' % n for n in range(500_000)) + b"}",
        b'{"s":"' + b"y" * 10_000_000 + b'"}',
    ],
    ids=["numbers", "rows", "keys", "string"],
)  # fmt: skip
def test_ten_megabytes_open_at_once(data: bytes) -> None:
    began = time.process_time()  # of this process alone: the machine may be busy
    root = tree(data)
    assert time.process_time() - began < 3
    assert sum(1 for _ in nodes(root)) <= 2 * payload.NODES


@given(st.lists(JSON, max_size=30), st.integers(0, 35), st.integers(1, 10))
def test_cutting_wide_arrays_agrees_with_parsing(
    values: list[Any], offset: int, limit: int
) -> None:
    raw = json.dumps(values, ensure_ascii=False).encode()
    found = wide.slices(raw, offset=offset, limit=limit)
    assert [json.loads(e) for e in found.elements] == values[offset : offset + limit]
    assert found.total == len(values)


@given(st.dictionaries(TEXT, JSON, max_size=20))
def test_cutting_wide_objects_agrees_with_parsing(value: dict[str, Any]) -> None:
    raw = json.dumps(value).encode()
    pairs = [json.loads(b"{" + e + b"}") for e in wide.slices(raw, offset=0, limit=50).elements]
    assert pairs == [{k: v} for k, v in value.items()]


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_strings_and_escapes_may_lie_across_pieces(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "PIECE", piece)
    values = ["a,b", '"', "\\", '\\"', "[", "]]", "\\\\,", {"k,": [1, 2, {"x": "}"}]}, [], {}, 5]
    raw = json.dumps(values).encode()
    assert [json.loads(e) for e in wide.slices(raw, offset=0, limit=99).elements] == values


def test_wide_values_are_found_and_shown_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "WIDE", 3)
    data = json.dumps({"a": list(range(9)), "b": {f"k{n}": n for n in range(9)}}).encode()
    assert find(data, "/a/7") == b"7"
    assert find(data, "/b/k8") == b"8"
    with pytest.raises(KeyError):
        find(data, "/b/k9")
    with pytest.raises(KeyError):
        find(data, "/a/9")
    assert [c.key for c in part(data, "/b", offset=7).children or ()] == ['"k7"', '"k8"']


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("total", "129.00"),
        ("psp.key", "null"),
        ("lines.0.sku", "SKU7"),
        ("lines", "[1]"),
        ("psp", "{1}"),
        ("no", ""),
        ("total.x", ""),
    ],
)  # fmt: skip
def test_one_value_for_a_cell(path: str, text: str) -> None:
    data = b'{"total":129.00,"psp":{"key":null},"lines":[{"sku":"SKU7"}]}'
    assert value_at(data, path) == text


def test_no_value_where_there_is_no_json() -> None:
    assert value_at(b"<xml/>", "a") == value_at(b"", "a") == value_at(b"\xff", "a") == ""


def test_paths_that_could_be_columns() -> None:
    data = b'{"total":1,"psp":{"key":null,"a.b":2},"lines":[1],"x y":3}'
    assert leaves(data) == ["total", "psp.key"]
    assert leaves(b"<xml/>") == []
