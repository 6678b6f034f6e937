"""The data of an event as a tree that opens piece by piece, with every digit as it was sent.

Nothing is parsed deeper than it is shown: each level is cut into raw slices of the bytes, so an
event of 10 MB opens as fast as its first level, and 129.00 stays 129.00.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import msgspec

from apps.eventlog.envelope import Undecodable
from apps.pages import wide
from apps.pages.words import visible

PAGE = 100  # children in one part
STRING = 2_000  # characters of a string shown at once
WIDE = 100_000  # commas from which a container is cut without an object per element
NODES = 300  # nodes of a tree drawn at once; what is beyond is loaded when opened
INLINE = 256 * 1024  # bytes of a container that is drawn together with its parent

Kind = Literal["object", "array", "string", "number", "word"]

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_number = re.compile(rb"-?[0-9]")
_index = re.compile(r"[0-9]{1,9}", re.ASCII)
_plain = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")  # a key that can stand in a dotted path
BLANK = b" \t\r\n"


@dataclass
class Node:
    """One value of the tree."""

    pointer: str  # RFC 6901: "" is the whole
    kind: Kind
    raw: bytes = field(repr=False)  # as sent
    key: str | None = None  # as JSON text; None in an array and at the top
    text: str = ""  # of what is no container, as JSON text
    rest: int = 0  # characters of a string that are not shown yet
    count: int = 0  # children of a container
    children: list[Node] | None = None  # None: not drawn yet
    more: int | None = None  # offset of the children, or characters, after these
    open: bool = False

    @property
    def container(self) -> bool:
        """Whether it has children."""
        return self.kind in ("object", "array")

    @property
    def brackets(self) -> str:
        """What opens and closes it."""
        return "{}" if self.kind == "object" else "[]"


def tree(data: bytes) -> Node:
    """Return the tree of a JSON value, its upper levels drawn.

    raises  Undecodable where the bytes are not JSON
    """
    root = _node(data.strip(BLANK), "")
    _grow(root, NODES)
    return root


def part(data: bytes, pointer: str, *, offset: int = 0) -> Node:
    """Return one value inside, with its children from `offset` on (characters of a string).

    raises  Undecodable where the bytes are not JSON, KeyError where nothing has this pointer
    """
    node = _node(find(data, pointer), pointer, offset=offset)
    if node.container:
        _open(node, offset)
        for child in node.children or ():
            if len(child.raw) < INLINE // PAGE:
                _grow(child, NODES // 10, depth=2)
    return node


def find(data: bytes, pointer: str) -> bytes:
    """Return the bytes of the value a pointer names; KeyError where there is none."""
    raw = data.strip(BLANK)
    for token in pointer.split("/")[1:]:
        raw = _child(raw, token.replace("~1", "/").replace("~0", "~"))
    return raw


def value_at(data: bytes, path: str) -> str:
    """Return the value at a dotted path ("total", "lines.0.sku") as text for a table's cell.

    Strings without their quotes, containers as their brackets with a count, "" where there is none
    or the bytes are not JSON.
    """
    raw = data.strip(BLANK)
    try:
        for key in path.split("."):
            raw = _child(raw, key)
        node = _node(raw, "")
        if node.kind == "string":
            return visible(_string(raw)[:STRING])
        if node.container:
            count = str(_cut(raw, 0)[1]) if len(raw) <= INLINE else "…"
            return node.brackets[0] + count + node.brackets[1]
    except (Undecodable, KeyError):
        return ""
    return node.text


def leaves(data: bytes, *, most: int = 40) -> list[str]:
    """Return the dotted paths of the values in an object, at most `most`; [] for anything else."""
    found: list[str] = []
    if len(data) <= INLINE:
        try:
            _walk(tree(data), "", found, most)
        except Undecodable:
            return []
    return found


def _walk(node: Node, path: str, found: list[str], most: int) -> None:
    for child in node.children or ():
        key = json.loads(child.key) if child.key else ""
        if len(found) >= most or not _plain.fullmatch(key):
            continue
        name = f"{path}.{key}" if path else key
        if child.kind == "object":
            _walk(child, name, found, most)
        elif child.kind != "array":
            found.append(name)


def _node(raw: bytes, pointer: str, key: str | None = None, *, offset: int = 0) -> Node:
    start = raw[:1]
    if start in (b"{", b"["):
        return Node(pointer, "object" if start == b"{" else "array", raw, key)
    if start == b'"':
        text = _string(raw)
        shown = text[offset : offset + STRING]
        rest = max(0, len(text) - offset - len(shown))
        more = offset + STRING if rest else None
        return Node(pointer, "string", raw, key, _literal(shown), rest, more=more)
    if _number.match(raw):
        return Node(pointer, "number", raw, key, visible(raw[:STRING].decode("utf-8", "replace")))
    if raw in (b"true", b"false", b"null"):
        return Node(pointer, "word", raw, key, raw.decode())
    raise Undecodable("the bytes are not JSON")


def _grow(root: Node, budget: int, *, depth: int = 0) -> None:
    """Draw what is in a container, breadth first, as far as `budget` nodes go."""
    queue = [(root, depth)]
    while queue:
        node, level = queue.pop(0)
        if not node.container or (level and (len(node.raw) > INLINE or budget <= 0)):
            continue
        children = _open(node, 0)
        budget -= len(children)
        node.open = not level or (node.kind == "object" and level <= 2 and len(children) <= 20)
        queue += [(child, level + 1) for child in children]


def _open(node: Node, offset: int) -> list[Node]:
    """Give a container its children from `offset` on, and return them."""
    pairs, node.count = _cut(node.raw, offset)
    node.children = [
        _node(raw, f"{node.pointer}/{_token(key)}", _literal(key))
        if isinstance(key, str)
        else _node(raw, f"{node.pointer}/{key}")
        for key, raw in pairs
    ]
    last = offset + len(pairs)
    node.more = last if last < node.count else None
    return node.children


def _cut(raw: bytes, offset: int) -> tuple[list[tuple[str | int, bytes]], int]:
    """Return (key or index, bytes) of up to PAGE children from `offset` on, and their number."""
    if raw.count(b",") <= WIDE:
        children = _children(raw)
        page = list(islice(children.items(), offset, offset + PAGE))
        return [(key, bytes(value)) for key, value in page], len(children)
    elements, total = wide.slices(raw, offset=offset, limit=PAGE)
    if raw[:1] == b"[":
        return [(offset + n, element) for n, element in enumerate(elements)], total
    pairs = [next(iter(_children(b"{" + element + b"}").items())) for element in elements]
    return [(key, bytes(value)) for key, value in pairs], total


def _children(raw: bytes) -> dict[Any, msgspec.Raw]:
    """Return the children of a container by key or index."""
    try:
        return _object.decode(raw) if raw[:1] == b"{" else dict(enumerate(_array.decode(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error) or "nested too deeply") from error


def _child(raw: bytes, key: str) -> bytes:
    """Return the bytes of one child; KeyError where there is none."""
    keyed, many = raw[:1] == b"{", raw.count(b",") > WIDE
    if keyed:
        return _in_wide_object(raw, key) if many else bytes(_children(raw)[key])
    if raw[:1] != b"[" or not _index.fullmatch(key):
        raise KeyError(key)
    if not many:
        return bytes(_children(raw)[int(key)])
    found = wide.slices(raw, offset=int(key), limit=1).elements
    if not found:
        raise KeyError(key)
    return found[0]


def _in_wide_object(raw: bytes, key: str) -> bytes:
    offset, total = 0, 1
    while offset < total:
        elements, total = wide.slices(raw, offset=offset, limit=WIDE)
        found = _children(b"{" + b",".join(elements) + b"}")
        if key in found:
            return bytes(found[key])
        offset += WIDE
    raise KeyError(key)


def _string(raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw, type=str))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from error


def _literal(text: str) -> str:
    return visible(json.dumps(text, ensure_ascii=False))


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
