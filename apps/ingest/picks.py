"""Where in a record the parts of an event are, as people write it: a mapping's right-hand sides.

    data.order.id              a member of the body; `order.id` alone means the same
    headers["x-cid"]           a header, whatever its case; also headers.cid, fields.cid
    "payment-" + data.payment  texts put together
    data.cid ?? data.order     the first that is there
    headers.ts as unix ms      a time that is a count: s, ms, us or ns since 1970

Also key, channel, partition, offset, time (the bus's) and facts (what else the bus says).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from apps.ingest.problems import Invalid, shown
from apps.ingest.split import elements_of, members_of

LONGEST = 500  # characters
UNITS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}
ROOTS = ("data", "headers", "fields", "facts", "key", "channel", "partition", "offset", "time")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<name>[\w$@:/-]+)|(?P<mark>\?\?|[.+\[\]]))"""
)


class BadPick(ValueError):
    """A text says no place in a record; the message says where it goes wrong."""


class Text(NamedTuple):
    """A text that stands for itself."""

    text: str


class Path(NamedTuple):
    """A root of the record, and steps below it."""

    root: str
    steps: tuple[str, ...]


Term = Text | Path


class Pick(NamedTuple):
    """Alternatives, each the terms of a sum; `unit` where the result is a count since 1970."""

    options: tuple[tuple[Term, ...], ...]
    unit: str = ""


class Parts:
    """A record taken apart as far as somebody asks."""

    def __init__(
        self,
        *,
        body: bytes,
        headers: Mapping[str, str],
        facts: Mapping[str, Any],
        plain: Mapping[str, str],
    ) -> None:
        self.body, self.headers, self.facts, self.plain = body, headers, facts, plain
        self._members: dict[str, bytes] | None = None

    @property
    def members(self) -> dict[str, bytes]:
        """The members of the body, {} where it is no JSON object."""
        if self._members is None:
            self._members = _members(self.body)
        return self._members

    def at(self, path: Path) -> bytes | None:
        """Return the JSON at a path, None where there is nothing."""
        if path.root == "data":
            return self._in_body(path.steps)
        if path.root in ("headers", "fields"):
            return _encoded(self._header(".".join(path.steps)))
        if path.root == "facts":
            return _below(_encoded(self.facts.get(path.steps[0])), path.steps[1:])
        return _encoded(self.plain.get(path.root) or None)

    def _in_body(self, steps: tuple[str, ...]) -> bytes | None:
        if not steps:
            return self.body or None
        whole = ".".join(steps)
        if whole in self.members:  # a name that has dots in it
            return self.members[whole]
        return _below(self.members.get(steps[0]), steps[1:])

    def _header(self, name: str) -> str | None:
        if name in self.headers:
            return self.headers[name]
        lower = name.lower()
        return next((v for n, v in self.headers.items() if n.lower() == lower), None)


def parse(text: str) -> Pick:
    """Read one right-hand side.  raises  BadPick"""
    if len(text) > LONGEST:
        raise BadPick(f"it has {len(text)} characters; at most {LONGEST} are read")
    body, unit = _unit(text)
    options: list[tuple[Term, ...]] = []
    terms: list[Term] = []
    tokens = _tokens(body)
    at = 0
    while True:
        term, at = _term(tokens, at, text)
        terms.append(term)
        mark = tokens[at] if at < len(tokens) else None
        if mark is None or mark == ("mark", "??"):
            options.append(tuple(terms))
            terms = []
        elif mark != ("mark", "+"):
            raise BadPick(f"{shown(text)}: expected + or ?? before {shown(mark[1])}")
        if mark is None:
            return Pick(tuple(options), unit)
        at += 1


def _unit(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*\S)\s+as\s+unix\s+(\w+)\s*", text, re.DOTALL)
    if not found:
        return text, ""
    if found[2] not in UNITS:
        raise BadPick(f"{shown(text)}: unix {shown(found[2])}; expected one of {', '.join(UNITS)}")
    return found[1], found[2]


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise BadPick(f"{shown(text)}: {shown(text[at:])} is neither a name nor a text")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        at = found.end()
    return tokens


def _term(tokens: list[tuple[str, str]], at: int, text: str) -> tuple[Term, int]:
    if at >= len(tokens) or tokens[at][0] == "mark":
        raise BadPick(f"{shown(text)}: a name or a text in quotes is missing")
    kind, word = tokens[at]
    at += 1
    if kind == "text":
        return Text(_unquoted(word)), at
    steps = [word]
    while at < len(tokens) and tokens[at][1] in (".", "["):
        step, at = _step(tokens, at, text)
        steps.append(step)
    root, *rest = steps
    if root not in ROOTS:
        return Path("data", tuple(steps)), at
    if rest and root in ("key", "channel", "partition", "offset", "time"):
        raise BadPick(f"{shown(text)}: {root} has no parts")
    if not rest and root in ("headers", "fields", "facts"):
        raise BadPick(f"{shown(text)}: {root} needs a name, as in {root}.cid")
    return Path(root, tuple(rest)), at


def _step(tokens: list[tuple[str, str]], at: int, text: str) -> tuple[str, int]:
    bracket = tokens[at] == ("mark", "[")
    at += 1
    if at >= len(tokens) or tokens[at][0] == "mark":
        raise BadPick(f"{shown(text)}: a name is missing")
    kind, word = tokens[at]
    at += 1
    if bracket:
        if at >= len(tokens) or tokens[at] != ("mark", "]"):
            raise BadPick(f"{shown(text)}: ] is missing")
        at += 1
    return (_unquoted(word) if kind == "text" else word), at


def _unquoted(word: str) -> str:
    if word[0] == "'":
        return word[1:-1]
    try:
        return str(msgspec.json.decode(word, type=str))
    except msgspec.DecodeError:
        raise BadPick(f"{word} is no text in quotes") from None


def value(pick: Pick, parts: Parts) -> bytes | None:
    """Return the JSON a pick finds, None where there is nothing; several terms give a string."""
    for terms in pick.options:
        found = _sum(terms, parts)
        if found is not None:
            return _moment(found, pick.unit) if pick.unit else found
    return None


def _sum(terms: tuple[Term, ...], parts: Parts) -> bytes | None:
    if len(terms) == 1:
        term = terms[0]
        found = msgspec.json.encode(term.text) if isinstance(term, Text) else parts.at(term)
        return None if found in (None, b"null", b'""') else found
    texts = []
    for term in terms:
        text = term.text if isinstance(term, Text) else text_of(parts.at(term))
        if text is None:
            return None
        texts.append(text)
    return msgspec.json.encode("".join(texts))


def text_of(raw: bytes | None) -> str | None:
    """Return a JSON string, number or boolean as text; None for all else and for nothing."""
    if raw is None or raw[:1] in b"{[n":
        return None
    if raw[:1] != b'"':
        return raw.decode()
    try:
        return str(msgspec.json.decode(raw, type=str)) or None
    except msgspec.DecodeError:
        return None


def _moment(raw: bytes, unit: str) -> bytes:
    text = text_of(raw) or ""
    try:
        return b"%d" % (float(text) * UNITS[unit] if "." in text else int(text) * UNITS[unit])
    except (ValueError, OverflowError):
        raise Invalid("bad_time", f"{shown(text)} is no count of {unit} since 1970") from None


def _encoded(found: Any) -> bytes | None:
    return None if found is None else msgspec.json.encode(found)


def _below(raw: bytes | None, steps: tuple[str, ...]) -> bytes | None:
    for step in steps:
        if raw is None:
            return None
        try:
            if raw.startswith(b"{"):
                raw = members_of(raw).get(step)
            elif raw.startswith(b"[") and step.isdecimal():
                raw = bytes(elements_of(raw)[int(step)])
            else:
                return None
        except (Invalid, IndexError):
            return None
    return raw


def _members(body: bytes) -> dict[str, bytes]:
    try:
        return members_of(body) if body.lstrip()[:1] == b"{" else {}
    except Invalid:
        return {}
