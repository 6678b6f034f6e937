"""Handlers typed in a browser, as an interpreter without generators and modules can run them.

`yield New(…)` becomes a call, and imports of the SDK and of what only types need become nothing.
Lines stay where they are, so that errors name the lines that were typed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

SDK = frozenset({"evdebug.sdk", "__future__", "collections.abc", "typing"})
KNOWN = frozenset({"json", "math", "re", "datetime"})  # that the interpreter has
LENGTH = 64 * 1024
SAY, SAY_ALL = "_say", "_say_all"


class NotTyped(Exception):
    """The code wants what the interpreter does not have; the message says what, and where."""


def rewritten(source: str) -> str:
    """Return the code with as many lines. raises  NotTyped"""
    if len(source) > LENGTH:
        raise NotTyped(f"it has {len(source)} letters; {LENGTH} are read")
    try:
        tree = ast.parse(source)
        edits = sorted(_edits(tree), reverse=True)
    except SyntaxError as error:
        raise NotTyped(f"{error.msg} (line {error.lineno})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotTyped(f"it cannot be read: {type(error).__name__}") from error
    lines = [line.encode() for line in source.split("\n")]
    for (line, start), (last, end), text in edits:
        tail = lines[last][end:]
        lines[line] = lines[line][:start] + text.encode() + (tail if line == last else b"")
        for n in range(line + 1, last + 1):
            lines[n] = b"" if n < last else tail
    return b"\n".join(lines).decode()


Place = tuple[int, int]  # line from 0, bytes of UTF-8 from its beginning
Change = tuple[Place, Place, str]


def _edits(tree: ast.Module) -> Iterator[Change]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
            yield from _yield(node.value)
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            raise NotTyped(f"async is not known to it (line {node.lineno})")
    stand = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield | ast.YieldFrom) and id(node) not in stand:
            raise NotTyped(f"a yield stands on a line of its own (line {node.lineno})")


def _import(node: ast.Import | ast.ImportFrom) -> Iterator[Change]:
    if isinstance(node, ast.ImportFrom):
        names = [node.module or "."]
        if node.module == "evdebug.sdk" and any(each.asname or each.name == "*" for each in
                                                node.names):  # fmt: skip
            raise NotTyped(f"it takes names of evdebug.sdk as they are (line {node.lineno})")
    else:
        names = [each.name for each in node.names]
    for name in names:
        if name not in SDK | KNOWN:
            raise NotTyped(f"it imports {name} (line {node.lineno})")
    if isinstance(node, ast.ImportFrom) and names[0] in SDK:
        yield _from(node), _to(node), "pass"


def _yield(node: ast.Yield | ast.YieldFrom) -> Iterator[Change]:
    name = SAY if isinstance(node, ast.Yield) else SAY_ALL
    if node.value is None:
        raise NotTyped(f"a yield says something (line {node.lineno})")
    yield _from(node), _from(node.value), f"{name}("
    yield _to(node.value), _to(node), ")"


def _from(node: ast.expr | ast.stmt) -> Place:
    return node.lineno - 1, node.col_offset


def _to(node: ast.expr | ast.stmt) -> Place:
    return (node.end_lineno or node.lineno) - 1, node.end_col_offset or 0
