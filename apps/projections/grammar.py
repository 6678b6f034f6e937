"""The text of an expression as a tree: a Pratt parser for a subset of CEL.

    e ? e : e   e || e   e && e   == != < <= > >= in   + -   * / %   ! -   e.f  e[e]  f(e, …)

Literals are numbers, texts in ' or ", true, false, null, [lists] and {maps}. A name that is none of
ROOTS and not bound by a macro is an entity's own: stock-SKU7.available; in backticks it may hold
any characters. Everything is bounded: LENGTH characters, DEPTH levels, NODES nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

LENGTH, DEPTH, NODES = 2000, 50, 200
ROOTS = ("state", "event", "stream", "position", "time")
FUNCTIONS = {"size": 1, "int": 1, "double": 1, "string": 1, "has": 1, "abs": 1}
METHODS = {"startsWith": 1, "endsWith": 1, "contains": 1, "size": 0, "lowerAscii": 0}
MACROS = {"exists": 2, "all": 2, "exists_one": 2, "filter": 2, "map": 2}
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">", "in")

BINDING = {
    "?": 1, "||": 2, "&&": 3, **dict.fromkeys(COMPARISONS, 4),
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, ".": 8, "[": 8,
}  # fmt: skip
UNARY = 7
RESERVED = {"true": True, "false": False, "null": None}

_blank = re.compile(r"\s*(?://[^\n]*\s*)*")
_token = re.compile(
    r"""(?P<number>(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<quoted>`[^`\n]+`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_entity = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[-:/@][A-Za-z0-9_]+)*")
_escape = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}


class ExpressionError(ValueError):
    """An expression is wrong, or cannot be worked out; `column` counts characters from 0."""

    code = "bad_expression"

    def __init__(self, message: str, *, column: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.message, self.column, self.length = message, column, length


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the tree.

    kind   literal, root, entity, variable, field, index, call, method, macro, unary, binary,
           choice, list, map
    value  the literal, the name, or the operator
    """

    kind: str
    column: int
    value: Any = None
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an expression's text."""

    kind: str  # number, text, quoted, name, sign, end
    text: str
    column: int


def parse(text: str) -> Node:
    """Return the tree of an expression.

    raises  ExpressionError with the column of what is wrong
    """
    if len(text) > LENGTH:
        raise ExpressionError(
            f"The expression has {len(text)} characters; at most {LENGTH} are read."
        )
    if not text.strip():
        raise ExpressionError("The expression is empty. Try: state.available < 0")
    parser = _Parser(text)
    node = parser.expression(0)
    if parser.next.kind != "end":
        parser.fail(f"{parser.next.text!r} was not expected here.")
    return node


def entities(node: Node) -> set[str]:
    """Return the names of the entities an expression speaks of."""
    found = {node.value} if node.kind == "entity" else set()
    return found.union(*(entities(part) for part in node.parts))


def roots(node: Node) -> set[str]:
    """Return which of ROOTS an expression speaks of."""
    found = {node.value} if node.kind == "root" else set()
    return found.union(*(roots(part) for part in node.parts))


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.nodes = self.depth = 0
        self.bound: list[str] = []
        self.next = self._read(0)

    def fail(self, message: str, token: Token | None = None) -> None:
        token = token or self.next
        raise ExpressionError(message, column=token.column, length=max(1, len(token.text)))

    def unknown(self, token: Token, *names: dict[str, int]) -> None:
        there = ", ".join(sorted(set[str]().union(*names)))
        self.fail(f"There is no function {token.text!r}. There are {there}.", token)

    def _read(self, start: int) -> Token:
        start = _blank.match(self.text, start).end()  # type: ignore[union-attr]
        if start == len(self.text):
            return Token("end", "", start)
        found = _token.match(self.text, start)
        if found is None:
            hint = (
                " A text ends with the mark it begins with." if self.text[start] in "\"'`" else ""
            )
            raise ExpressionError(
                f"{self.text[start]!r} means nothing in an expression.{hint}", column=start
            )
        return Token(str(found.lastgroup), found[0], start)

    def take(self) -> Token:
        token = self.next
        self.next = self._read(token.column + len(token.text))
        return token

    def expect(self, sign: str) -> Token:
        if self.next.text != sign or self.next.kind != "sign":
            what = repr(self.next.text) if self.next.text else "the end"
            self.fail(f"{sign!r} was expected here, not {what}.")
        return self.take()

    def accept(self, sign: str) -> bool:
        if self.next.kind == "sign" and self.next.text == sign:
            self.take()
            return True
        return False

    def node(self, kind: str, column: int, value: Any = None, *parts: Node) -> Node:
        self.nodes += 1
        if self.nodes > NODES:
            raise ExpressionError(
                f"The expression has more than {NODES} parts; make it simpler.", column=column
            )
        return Node(kind, column, value, parts)

    def expression(self, floor: int) -> Node:
        """Parse what binds tighter than `floor`."""
        self.depth += 1
        if self.depth > DEPTH:
            self.fail(f"The expression is nested more than {DEPTH} levels deep.")
        left = self.prefix()
        while (power := self._power()) > floor:
            left = self.infix(left, power)
        self.depth -= 1
        return left

    def _power(self) -> int:
        if self.next.kind == "sign" or self.next.text == "in":
            return BINDING.get(self.next.text, 0)
        return 0

    def infix(self, left: Node, power: int) -> Node:
        token = self.take()
        if token.text == "?":
            yes = self.expression(0)
            self.expect(":")
            return self.node("choice", token.column, None, left, yes, self.expression(0))
        if token.text == ".":
            return self.member(left)
        if token.text == "[":
            index = self.expression(0)
            self.expect("]")
            return self.node("index", token.column, None, left, index)
        return self.node("binary", token.column, token.text, left, self.expression(power))

    def member(self, left: Node) -> Node:
        token = self.take()
        if token.kind not in ("name", "quoted"):
            self.fail("A field's name was expected after the dot.", token)
        name = token.text.strip("`")
        if token.kind == "quoted" or not self.accept("("):
            return self.node("field", token.column, name, left)
        if name in MACROS:
            return self.macro(token, left)
        if name not in METHODS:
            self.unknown(token, METHODS, MACROS)
        arguments = self.arguments(")")
        self.count(token, arguments, METHODS[name])
        return self.node("method", token.column, name, left, *arguments)

    def macro(self, token: Token, left: Node) -> Node:
        variable = self.take()
        if variable.kind != "name" or variable.text in RESERVED or variable.text in ROOTS:
            self.fail(f"{token.text}() begins with a name for each element, as in x.", variable)
        self.expect(",")
        self.bound.append(variable.text)
        body = self.expression(0)
        self.bound.pop()
        self.expect(")")
        return self.node("macro", token.column, (token.text, variable.text), left, body)

    def arguments(self, end: str) -> list[Node]:
        found: list[Node] = []
        if self.accept(end):
            return found
        while True:
            found.append(self.expression(0))
            if self.accept(end):
                return found
            self.expect(",")

    def count(self, token: Token, arguments: list[Node], wanted: int) -> None:
        if len(arguments) != wanted:
            self.fail(f"{token.text}() takes {wanted} value(s), not {len(arguments)}.", token)

    def prefix(self) -> Node:
        token = self.next
        if token.kind == "name" and token.text not in RESERVED:
            return self.named()
        self.take()
        if token.kind == "number":
            return self.node("literal", token.column, _number(token.text))
        if token.kind == "text":
            return self.node("literal", token.column, _text(token.text))
        if token.kind == "quoted":
            return self.node("entity", token.column, token.text.strip("`"))
        if token.kind == "name":
            return self.node("literal", token.column, RESERVED[token.text])
        if token.text in ("!", "-"):
            return self.node("unary", token.column, token.text, self.expression(UNARY))
        if token.text == "(":
            inside = self.expression(0)
            self.expect(")")
            return inside
        if token.text == "[":
            return self.node("list", token.column, None, *self.arguments("]"))
        if token.text == "{":
            return self.mapping(token)
        what = repr(token.text) if token.text else "The end"
        self.fail(f"{what} was not expected here; a value is missing.", token)
        raise AssertionError

    def mapping(self, token: Token) -> Node:
        parts: list[Node] = []
        if not self.accept("}"):
            while True:
                parts.append(self.expression(0))
                self.expect(":")
                parts.append(self.expression(0))
                if self.accept("}"):
                    break
                self.expect(",")
        return self.node("map", token.column, None, *parts)

    def named(self) -> Node:
        token = self.next
        if token.text in self.bound:
            self.take()
            return self.node("variable", token.column, token.text)
        if token.text in ROOTS:
            self.take()
            return self.node("root", token.column, token.text)
        if self.text.startswith("(", token.column + len(token.text)):
            return self.call()
        whole = _entity.match(self.text, token.column)
        assert whole is not None
        self.next = self._read(whole.end())
        return self.node("entity", token.column, whole[0])

    def call(self) -> Node:
        token = self.take()
        self.expect("(")
        if token.text not in FUNCTIONS:
            self.unknown(token, FUNCTIONS)
        arguments = self.arguments(")")
        self.count(token, arguments, FUNCTIONS[token.text])
        if token.text == "has" and arguments[0].kind not in ("field", "index"):
            self.fail("has() asks for a field, as in has(state.paid).", token)
        return self.node("call", token.column, token.text, *arguments)


def _number(text: str) -> Any:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text) if text.isdigit() else Decimal(text)


def _text(quoted: str) -> str:
    return _escape.sub(_unescaped, quoted[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) == 1:
        return _ESCAPES.get(code, code)
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
