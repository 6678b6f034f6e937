"""Reading of an event's data only what a condition asks for, with the same answer as reading all.

A condition that speaks of `state.available` alone needs that field of each patch and nothing else:
merging commutes with looking at a few fields. What could say more than its fields do (an envelope,
a scalar, bytes that are not quite JSON) is read whole.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from apps.eventlog.envelope import Undecodable, is_json
from apps.projections import exact, merge
from apps.projections.exact import DEPTH, MISSING
from apps.projections.grammar import Node

UNTOUCHED = object()  # a patch that changes none of the fields
_ESCAPED = re.compile(rb"\\[u/]")  # a name may be spelled otherwise than it is
_SHAPE = bytes.maketrans(b"0123456789+-E", b"000000000000e")
_LARGE = b"e0000"  # a number of this shape may be out of range
FIELDS = 20
PLAIN = (int, str, bool, Decimal)  # neither null, which removes, nor an object, which merges


def fields(tree: Node, entity: str = "") -> frozenset[str] | None:
    """Return the fields of the state an expression asks for; None where it asks for more.

    entity  the name under which the state is spoken of, too
    """
    found: set[str] = set()
    return frozenset(found) if _only(tree, entity, found) and len(found) <= FIELDS else None


def _only(node: Node, entity: str, found: set[str]) -> bool:
    if node.kind == "field" and _is_state(node.parts[0], entity):
        found.add(node.value)
        return True
    if node.kind == "index" and _is_state(node.parts[0], entity):
        name = node.parts[1]
        if name.kind != "literal" or not isinstance(name.value, str):
            return False
        found.add(name.value)
        return True
    if _is_state(node, entity) or node.kind == "entity":
        return False
    return all(_only(part, entity, found) for part in node.parts)


def _is_state(node: Node, entity: str) -> bool:
    return (node.kind == "root" and node.value == "state") or (
        node.kind == "entity" and bool(entity) and node.value == entity
    )


class Reader:
    """Folds data over the part of a state that has these fields."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self._marks = [exact.encode(name)[1:-1] for name in sorted(names)]
        self._mark = self._marks[0] if len(names) == 1 else b""
        spelled = {f"f{n}": name for n, name in enumerate(sorted(names))}
        self._pairs = list(spelled.items())
        envelope = {f"of_{name}": name for name in ("op", "payload") if name not in names}
        self._envelope = [*envelope, *(f for f, name in self._pairs if name in ("op", "payload"))]
        members = [(field, Any, msgspec.UNSET) for field in [*spelled, *envelope]]
        shape = msgspec.defstruct("Part", members, rename=spelled | envelope)
        self._decode = msgspec.json.Decoder(shape, float_hook=exact.fraction).decode

    def merged(self, state: Any, data: bytes | None, content_type: str) -> Any:
        """Return the part of the state after an event, UNTOUCHED where that is the same."""
        if not data:
            return UNTOUCHED  # forgotten, or nothing said
        if data[0] != 0x7B:
            return self._whole(state, data, content_type)
        if self._mark not in data or not all(mark in data for mark in self._marks):
            if b'"op"' in data or b'"payload"' in data or _ESCAPED.search(data):
                return self._whole(state, data, content_type)
            if not any(mark in data for mark in self._marks):
                return UNTOUCHED
        if not data.isascii() or _LARGE in data.translate(_SHAPE) or _deep(data):
            return self._whole(state, data, content_type)
        if content_type != "application/json" and not is_json(content_type):
            return UNTOUCHED
        try:
            part = self._decode(data)
        except (ValueError, RecursionError):
            return UNTOUCHED
        for field in self._envelope:
            if getattr(part, field) is not msgspec.UNSET:
                return self._whole(state, data, content_type)
        return self._patched(state, part)

    def _patched(self, state: Any, part: Any) -> Any:
        patch = {
            name: value
            for field, name in self._pairs
            if (value := getattr(part, field)) is not msgspec.UNSET
        }
        if not patch:
            return UNTOUCHED
        if len(patch) == len(self._pairs) and all(type(v) in PLAIN for v in patch.values()):
            return patch  # it says all there is to say
        return merge.merged(state, patch)

    def _whole(self, state: Any, data: bytes, content_type: str) -> Any:
        try:
            after = merge.apply(state, exact.decode(data, content_type))
        except Undecodable:
            return UNTOUCHED
        return self.part(after)

    def part(self, state: Any) -> Any:
        """Return the part of a state: its fields, or nothing of what is no object."""
        if type(state) is not dict:
            return MISSING if state is MISSING else None
        return {name: state[name] for name in self.names if name in state}


def _deep(data: bytes) -> bool:
    return len(data) > 2 * DEPTH and data.count(b"{") + data.count(b"[") > DEPTH
