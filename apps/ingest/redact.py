"""Taking out of records what must not be stored, before anything of them is.

A rule is a line: what to do, and where.

    mask data.card.number      replaces the value with ***
    hash data.email            with h: and 16 digits, the same for equal values of one system
    mask **.password           members of that name at any depth
    mask headers.authorization a header; also key
    hash ~email                every text that looks like one, wherever it is: ~card ~email ~iban
                               ~ip ~phone ~token
    mask ~/ssn-\\d+/           what a regular expression finds

Where a rule cannot be followed, as in a body that is not JSON while members of it are to be masked,
nothing of the body is kept.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import re2

from apps.ingest.connector import Record
from apps.ingest.problems import shown

MASK = "***"
WITHHELD = b"withheld: redaction could not read it"
RULES = 100
PATTERNS = {
    "card": r"\b(?:\d[ -]?){12,18}\d\b",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b",
    "ip": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    "phone": r"\+\d(?:[ ()-]?\d){7,14}\b",
    "token": r"\b(?:eyJ[\w-]+\.[\w-]+\.[\w-]*|(?:sk|pk|ghp|xox[bp])[-_][\w-]{8,})",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


class BadRule(ValueError):
    """A rule cannot be understood; the message says which and why."""


class Rule(NamedTuple):
    """What to do (`mask` or `hash`), and where: a path, or what a pattern finds."""

    action: str
    path: tuple[str, ...] = ()
    pattern: Any = None


class Withheld(Exception):
    """A body could not be read as its rules need it; nothing of it may be kept."""


def parse(text: str) -> list[Rule]:
    """Read rules, one a line or between semicolons; blank lines and `#` comments are left out.

    raises  BadRule
    """
    rules = []
    for line in re.split(r"[\n;]", text):
        if (line := line.strip()) and not line.startswith("#"):
            rules.append(_rule(line))
    if len(rules) > RULES:
        raise BadRule(f"{len(rules)} rules; at most {RULES} are followed")
    return rules


def _rule(line: str) -> Rule:
    action, _, where = line.partition(" ")
    where = where.strip()
    if action not in ("mask", "hash") or not where:
        raise BadRule(f"{shown(line)}: expected mask or hash, and where, as in `mask data.card`")
    if where.startswith("~"):
        return Rule(action, pattern=_pattern(where[1:], line))
    steps = tuple(where.removeprefix("/").replace("/", ".").split("."))
    if not all(steps):
        raise BadRule(f"{shown(line)}: a name is missing between two dots")
    if steps[0] not in ("data", "headers", "key", "**", "*"):
        steps = ("data", *steps)
    return Rule(action, steps)


def _pattern(text: str, line: str) -> Any:
    if text in PATTERNS:
        source = PATTERNS[text]
    elif len(text) > 2 and text[0] == text[-1] == "/":
        source = text[1:-1]
    else:
        known = ", ".join(f"~{name}" for name in PATTERNS)
        raise BadRule(f"{shown(line)}: expected {known} or a regular expression, ~/…/")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(source, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise BadRule(f"{shown(line)}: {said}") from None
    if compiled.search("") is not None:
        raise BadRule(f"{shown(line)}: it finds the empty text, so it would find everything")
    return compiled


class Redactor:
    """Applies rules to records and to the words about them."""

    def __init__(self, rules: Sequence[Rule], key: bytes) -> None:
        self._paths = [r for r in rules if not r.pattern]
        self._patterns = [r for r in rules if r.pattern]
        self._in_body = [r for r in self._paths if r.path[0] in ("data", "**", "*")]
        self._key = key

    def __bool__(self) -> bool:
        return bool(self._paths or self._patterns)

    def record(self, record: Record) -> Record:
        """Return a record with everything but its body redacted; the body is `body`'s."""
        return msgspec.structs.replace(
            record,
            key=self._named("key", record.key),
            channel=self.text(record.channel),
            partition=self.place(record.partition),
            offset=self.place(record.offset),
            headers=tuple((self.text(n), self._header(n, v)) for n, v in record.headers),
            facts=self._value(dict(record.facts), ()),
        )

    def place(self, text: str) -> str:
        """Return a coordinate; where it holds what is redacted, one that stays different."""
        if self.text(text) == text:
            return text
        return "h:" + blake2b(text.encode(), key=self._key, digest_size=8).hexdigest()

    def body(self, body: bytes, *, is_json: bool) -> bytes:
        """Return a body as it may be stored; the very bytes where nothing had to be taken out.

        raises  Withheld where what the rules need cannot be read
        """
        if not (self._in_body or self._patterns) or not body:
            return body
        if is_json:
            return self._json(body)
        if self._in_body:
            raise Withheld
        return self._bytes(body)

    def reject(self, body: bytes) -> bytes:
        """Return what may be kept of a body that could not be decoded."""
        if not (self._in_body or self._patterns):
            return body
        # An escape could hide from a pattern what decoding would have shown.
        if self._in_body or b"\\u" in body:
            return WITHHELD
        return self._bytes(body)

    def text(self, text: str) -> str:
        """Return words, such as an error's, with what patterns find taken out."""
        for rule in self._patterns:
            text = rule.pattern.sub(lambda found, rule=rule: self._instead(rule, found[0]), text)
        return self._hidden_in_base64(text) if self._patterns and len(text) >= 16 else text

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a bus says beside a record or delivery, redacted."""
        clean: dict[str, Any] = self._value(dict(facts), ())
        return clean

    def _json(self, body: bytes) -> bytes:
        try:
            whole = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Withheld from None
        try:
            clean = self._value(whole, ("data",))
        except RecursionError:
            raise Withheld from None
        return body if clean is whole else msgspec.json.encode(clean)

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        """Return a value redacted; the same object where nothing changed."""
        if path and (rule := self._rule_for(path)):
            return self._instead(rule, value)
        if isinstance(value, dict):
            new = {self.text(n): self._value(v, (*path, n)) for n, v in value.items()}
            same = len(new) == len(value) and all(value.get(n, new) is v for n, v in new.items())
            return value if same else new
        if isinstance(value, list):
            items = [self._value(v, (*path, str(i))) for i, v in enumerate(value)]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        if isinstance(value, str):
            clean = self.text(value)
            return value if clean == value else clean
        if isinstance(value, int | float) and not isinstance(value, bool) and self._patterns:
            written = str(value)
            clean = self.text(written)
            return value if clean == written else clean
        return value

    def _rule_for(self, path: tuple[str, ...]) -> Rule | None:
        return next((r for r in self._paths if _matches(r.path, path)), None)

    def _named(self, root: str, text: str) -> str:
        rule = self._rule_for((root,))
        return self._instead(rule, text) if rule and text else self.text(text)

    def _header(self, name: str, value: bytes) -> bytes:
        lower = ("headers", name.lower())
        rule = next(
            (r for r in self._paths if _matches(tuple(s.lower() for s in r.path), lower)), None
        )
        if rule:
            return self._instead(rule, value.decode("utf-8", "backslashreplace")).encode()
        return self._bytes(value) if self._patterns else value

    def _bytes(self, value: bytes) -> bytes:
        try:
            return self.text(value.decode()).encode()
        except UnicodeDecodeError:
            # As latin-1 every byte is a character, so what is ASCII in it is found as such.
            return self.text(value.decode("latin-1")).encode("latin-1", "replace")

    def _hidden_in_base64(self, text: str) -> str:
        return _BASE64.sub(lambda found: self._unless_hidden(found[0]), text)

    def _unless_hidden(self, text: str) -> str:
        padded = text.rstrip("=")
        padded += "=" * (-len(padded) % 4)
        try:
            inner = base64.b64decode(padded, altchars=b"-_" if set("-_") & set(text) else None)
            plain = inner.decode()
        except (binascii.Error, ValueError):
            return text
        for rule in self._patterns:
            if rule.pattern.search(plain):
                return self._instead(rule, text)
        return text

    def _instead(self, rule: Rule, value: Any) -> str:
        if rule.action == "mask":
            return MASK
        encode: Callable[[Any], bytes] = msgspec.json.encode
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else encode(value)
        return "h:" + blake2b(raw, key=self._key, digest_size=8).hexdigest()


def _matches(rule: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether a rule's path, with * for one step and ** for any, is this one."""
    if not rule:
        return not path
    if rule[0] == "**":
        return any(_matches(rule[1:], path[n:]) for n in range(len(path) + 1))
    return bool(path) and rule[0] in ("*", path[0]) and _matches(rule[1:], path[1:])


NOTHING = Redactor([], b"")
