"""Expressions over an entity's state: rules, watches, `find`. A small, safe subset of CEL.

The tree becomes closures once and is then called for each event. What is missing, and what does not
fit together (a text minus a number), is MISSING: it makes a comparison false, and so does a missing
field whatever is asked of it. Only dividing by zero, and work without end, is an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from apps.projections import grammar
from apps.projections.exact import MISSING
from apps.projections.grammar import ExpressionError, Node
from apps.projections.operations import (
    CALLS,
    COMPARE,
    TESTS,
    calculated,
    lower,
    negative,
    numeric,
    size,
)

STEPS = 100_000  # elements looked at in one evaluation

Names = dict[str, Any]  # state, event, stream, position, time; "\0NAME" for an entity's state
Closure = Callable[[Names], Any]


class Expression:
    """An expression that was read.

    entities  the streams it names, its own among them where it does
    roots     which of state, event, stream, position and time it speaks of
    """

    def __init__(self, text: str) -> None:
        """raises  ExpressionError with the column of what is wrong"""
        self.text = text
        self.tree = grammar.parse(text)
        self.entities = frozenset(grammar.entities(self.tree))
        self.roots = frozenset(grammar.roots(self.tree))
        self._run = _compiled(self.tree)

    def value(
        self, *, state: Any = MISSING, event: Any = MISSING, stream: str = "", position: int = 0,
        time: str = "", others: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Return what the expression is, MISSING where that is nothing.

        event   a mapping of the event's fields, as the JSON API names them
        others  states of other entities by name; `stream`'s own is `state`
        raises  ExpressionError for a division by zero and for more than STEPS steps
        """
        names: Names = {
            "state": state, "event": event, "stream": stream, "position": position, "time": time,
            "\0steps": 0,
        }  # fmt: skip
        if self.entities:
            for name in self.entities:
                known = state if name == stream else (others or {}).get(name, MISSING)
                names["\0" + name] = known
        return self._run(names)

    def holds(self, **names: Any) -> bool:
        """Return whether the expression is true; anything but true is not."""
        return self.value(**names) is True

    def tester(self) -> Callable[[Any, str], bool]:
        """Return `holds` for one thing after another: called with a state and its stream's name.

        For expressions that speak of nothing else; every entity they name is that state's own.
        """
        names: Names = {"event": MISSING, "position": 0, "time": ""}
        own, run = ["\0" + name for name in self.entities], self._run

        def holds(state: Any, stream: str) -> bool:
            names["state"], names["stream"], names["\0steps"] = state, stream, 0
            for name in own:
                names[name] = state
            return run(names) is True

        return holds


def _compiled(node: Node) -> Closure:
    return _KINDS[node.kind](node)


def _literal(node: Node) -> Closure:
    value = node.value
    return lambda names: value


def _root(node: Node) -> Closure:
    return operator.itemgetter(node.value)


def _entity(node: Node) -> Closure:
    return operator.itemgetter("\0" + node.value)


def _variable(node: Node) -> Closure:
    return operator.itemgetter("\1" + node.value)


def _field(node: Node) -> Closure:
    inner, name = _compiled(node.parts[0]), node.value

    def field(names: Names) -> Any:
        value = inner(names)
        return value.get(name, MISSING) if isinstance(value, dict) else MISSING

    return field


def _index(node: Node) -> Closure:
    inner, index = _compiled(node.parts[0]), _compiled(node.parts[1])

    def element(names: Names) -> Any:
        value, at = inner(names), index(names)
        if isinstance(value, dict) and isinstance(at, str):
            return value.get(at, MISSING)
        if isinstance(value, list) and type(at) is int and 0 <= at < len(value):
            return value[at]
        return MISSING

    return element


def _binary(node: Node) -> Closure:
    left, right = (_compiled(part) for part in node.parts)
    if node.value == "&&":
        return lambda names: left(names) is True and right(names) is True
    if node.value == "||":
        return lambda names: left(names) is True or right(names) is True
    if node.value not in COMPARE:
        return _arithmetic(node, left, right)
    compare = COMPARE[node.value]
    number = _number(node.parts[1])
    if number is not None:
        return _against(left, number, node.value, compare)

    def comparison(names: Names) -> bool:
        a, b = left(names), right(names)
        return a is not MISSING and b is not MISSING and compare(a, b)

    return comparison


def _number(node: Node) -> int | None:
    """Return the whole number a node is, None where it is something else."""
    if node.kind == "unary" and node.value == "-":
        inner = _number(node.parts[0])
        return None if inner is None else -inner
    return node.value if node.kind == "literal" and type(node.value) is int else None


_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _against(left: Closure, number: int, sign: str, compare: Callable[[Any, Any], bool]) -> Closure:
    """Compare with a whole number: what most conditions do, without looking twice."""
    plain = _PLAIN.get(sign, compare)

    def comparison(names: Names) -> bool:
        value = left(names)
        if type(value) is int:
            return bool(plain(value, number))
        return value is not MISSING and compare(value, number)

    return comparison


def _arithmetic(node: Node, left: Closure, right: Closure) -> Closure:
    sign, column = node.value, node.column

    def result(names: Names) -> Any:
        a, b = left(names), right(names)
        if sign == "+" and type(a) is type(b) and isinstance(a, str | list):
            return _steps(names, column, len(a) + len(b)) and a + b
        if not (numeric(a) and numeric(b)):
            return MISSING
        return calculated(sign, a, b, column)

    return result


def _unary(node: Node) -> Closure:
    inner = _compiled(node.parts[0])
    if node.value == "!":
        return lambda names: inner(names) is not True
    if node.parts[0].kind == "literal":
        number = negative(node.parts[0].value)
        return lambda names: number

    return lambda names: negative(inner(names))


def _choice(node: Node) -> Closure:
    test, yes, no = (_compiled(part) for part in node.parts)
    return lambda names: yes(names) if test(names) is True else no(names)


def _list(node: Node) -> Closure:
    parts = [_compiled(part) for part in node.parts]
    return lambda names: [part(names) for part in parts]


def _map(node: Node) -> Closure:
    parts = [_compiled(part) for part in node.parts]
    pairs = list(zip(parts[::2], parts[1::2], strict=True))

    def mapping(names: Names) -> Any:
        found = [(key(names), value(names)) for key, value in pairs]
        return dict(found) if all(isinstance(key, str) for key, _ in found) else MISSING

    return mapping


def _steps(names: Names, column: int, count: int) -> bool:
    names["\0steps"] += count
    if names["\0steps"] > STEPS:
        raise ExpressionError(
            f"This looks at more than {STEPS} elements; ask for less.", column=column
        )
    return True


def _macro(node: Node) -> Closure:
    (name, variable), column = node.value, node.column
    source, body = (_compiled(part) for part in node.parts)
    slot = "\1" + variable

    def macro(names: Names) -> Any:
        elements = source(names)
        if not isinstance(elements, list | dict):
            return MISSING
        outer = names.get(slot, MISSING)
        found = []
        for element in elements:  # of a map: its keys, as in CEL
            _steps(names, column, 1)
            names[slot] = element
            found.append((element, body(names)))
        names[slot] = outer
        return _RESULTS[name](found)

    return macro


_RESULTS: dict[str, Callable[[list[tuple[Any, Any]]], Any]] = {
    "exists": lambda found: any(result is True for _, result in found),
    "all": lambda found: all(result is True for _, result in found),
    "exists_one": lambda found: sum(result is True for _, result in found) == 1,
    "filter": lambda found: [element for element, result in found if result is True],
    "map": lambda found: [result for _, result in found],
}


def _call(node: Node) -> Closure:
    inner = _compiled(node.parts[0])
    if node.value == "has":
        return lambda names: inner(names) is not MISSING
    function = CALLS[node.value]
    return lambda names: function(inner(names))


def _method(node: Node) -> Closure:
    inner, *rest = (_compiled(part) for part in node.parts)
    if node.value == "size":
        return lambda names: size(inner(names))
    if node.value == "lowerAscii":
        return lambda names: lower(inner(names))
    test, argument = TESTS[node.value], rest[0]

    def method(names: Names) -> Any:
        value, wanted = inner(names), argument(names)
        if isinstance(value, str) and isinstance(wanted, str):
            return test(value, wanted)
        return MISSING

    return method


_KINDS: dict[str, Callable[[Node], Closure]] = {
    "literal": _literal, "root": _root, "entity": _entity, "variable": _variable, "field": _field,
    "index": _index, "binary": _binary, "unary": _unary, "choice": _choice, "list": _list,
    "map": _map, "macro": _macro, "call": _call, "method": _method,
}  # fmt: skip
