"""The event query language: text to a tree, and to coloured spans. Plain Python, no regex of users.

    query   = term*                          blanks between; all must hold
    term    = "-"? (field operator values | values)
    field   = name | ("data" | "metadata") ("." step | "[" digits "]")*
    values  = value ("," value)*             any of them
    value   = (plain | "*" | quoted)+        quotes keep blanks, commas and stars

What a value may be depends on its field (`terms.FIELDS`); `clock` reads moments.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from apps.eventlog import clock
from apps.eventlog.envelope import KINDS, OUTCOMES
from apps.eventlog.errors import QueryError
from apps.eventlog.terms import (
    FIELDS,
    OPERATORS,
    ORDER,
    TEXT,
    Field,
    Query,
    Term,
    Value,
    bounds,
)

MAX_LENGTH = 2000
MAX_TERMS = 100
MAX_VALUES = 100  # per term

ROOT = re.compile(r"(data|metadata)(?=[.\[:=<>~]|!=)")
NAME = re.compile(r'(?:(?!!=)[^\s,"*:=<>~])+')
STEP = re.compile(r'(?:(?!!=)[^\s.,:=<>~"\[\]*])+')
OPERATOR = re.compile("|".join(OPERATORS))
CHOICES = {"kind": KINDS, "outcome": OUTCOMES}
MEANT = {"time": "at", "log_time": "at", "recorded_at": "at", "subject": "stream", "body": "data",
         "payload": "data", "service": "source", "handled": "handled-by", "trace": "correlation",
         "headers": "metadata", "correlationid": "correlation"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a query's text and what it is: negate, field, op, value, quoted, text, error."""

    kind: str
    column: int
    length: int
    message: str = ""  # of an error


def parse(text: str) -> Query:
    """Return the tree of a query; an empty text asks for everything.

    raises  QueryError with the column and length of what is wrong
    """
    reader = Reader(text)
    terms = []
    while reader.skip_blanks():
        terms.append(reader.term())
        if len(terms) > MAX_TERMS:
            raise QueryError(f"A query has at most {MAX_TERMS} terms.", column=terms[-1].column,
                             length=terms[-1].length)  # fmt: skip
    return Query(tuple(terms))


def spans(text: str) -> list[Span]:
    """Return the stretches of `text` to colour, in order, errors among them; never raises.

    What comes before an error in its term keeps its colour, and the next term is read on.
    """
    try:
        reader = Reader(text)
    except QueryError as error:
        return [Span("error", error.column, error.length, error.message)]
    found: list[Span] = []
    while reader.skip_blanks():
        reader.spans.clear()
        try:
            reader.term()
            found += reader.spans
        except QueryError as error:
            found += [s for s in reader.spans if s.column + s.length <= error.column]
            found.append(Span("error", error.column, error.length, error.message))
            reader.at = max(reader.at, error.column + error.length)
            reader.skip_word()
    return found


class Reader:
    """Reads one query from left to right, noting the spans it passes."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise QueryError(
                f"A query has at most {MAX_LENGTH} characters, this one {len(text)}.",
                column=MAX_LENGTH, length=len(text) - MAX_LENGTH,
            )  # fmt: skip
        for column, char in enumerate(text):
            if char == "\0" or "\ud800" <= char <= "\udfff":
                raise QueryError(f"A query cannot hold {char!r}.", column=column)
        self.text, self.at = text, 0
        self.spans: list[Span] = []

    def skip_blanks(self) -> bool:
        """Go to the next term; return whether there is one."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def skip_word(self) -> None:
        """Go to the next blank."""
        while self.at < len(self.text) and not self.text[self.at].isspace():
            self.at += 1

    def term(self) -> Term:
        """Read one term."""
        start = self.at
        negated = self.text[start] == "-"
        if negated:
            self.at += 1
            self._note("negate", start)
            if self.at == len(self.text) or self.text[self.at].isspace():
                raise QueryError("Nothing follows the '-': it negates the term after it.",
                                 column=start)  # fmt: skip
        found, path = self._field()
        operator, operator_at = "", self.at
        if found is not TEXT:
            operator = self._operator(found)
        values = self._values(found)
        term = Term(found, operator, values, path, negated, start, self.at - start)
        check(term, operator_at)
        return term

    def _field(self) -> tuple[Field, tuple[str | None, ...]]:
        start = self.at
        if root := ROOT.match(self.text, start):
            self.at = root.end()
            path = self._path()
            self._note("field", start)
            if not OPERATOR.match(self.text, self.at):
                raise QueryError(
                    f"{self.text[start : self.at]} needs an operator and a value, for example "
                    f"{self.text[start : self.at]}>100. To look for these words, quote them.",
                    column=start, length=self.at - start,
                )  # fmt: skip
            return FIELDS[root[1]], path
        name = NAME.match(self.text, start)
        end = name.end() if name else start
        if not (operator := OPERATOR.match(self.text, end)):
            return TEXT, ()
        if not name:
            raise QueryError(f"A field is missing before {operator[0]!r}.", column=start,
                             length=len(operator[0]))  # fmt: skip
        self.at = end
        self._note("field", start)
        if name[0] not in FIELDS:
            raise unknown(name[0], start)
        return FIELDS[name[0]], ()

    def _path(self) -> tuple[str | None, ...]:
        path: list[str | None] = []
        while self.at < len(self.text) and self.text[self.at] in ".[":
            if self.text[self.at] == "[":
                path.append(self._index())
                continue
            self.at += 1
            if self.text[self.at : self.at + 1] == '"':
                path.append(self._quoted())
            elif self.text[self.at : self.at + 1] == "*":
                self.at += 1
                path.append(None)
            elif step := STEP.match(self.text, self.at):
                self.at = step.end()
                path.append(step[0])
            else:
                raise QueryError("A key is missing after the dot. Quote keys with dots or blanks.",
                                 column=self.at - 1)  # fmt: skip
        return tuple(path)

    def _index(self) -> str:
        index = re.compile(r"\[([0-9]{1,9})\]").match(self.text, self.at)
        if not index:
            raise QueryError("An index is a number in brackets, like [0].", column=self.at)
        self.at = index.end()
        return index[1]

    def _operator(self, found: Field) -> str:
        operator = OPERATOR.match(self.text, self.at)
        assert operator, "the field was read up to its operator"
        start, self.at = self.at, operator.end()
        self._note("op", start)
        if operator[0] not in found.operators:
            raise QueryError(
                f"{found.name} takes {' '.join(found.operators)} but not {operator[0]}.",
                column=start, length=len(operator[0]),
            )  # fmt: skip
        return operator[0]

    def _values(self, found: Field) -> tuple[Value, ...]:
        values = [self._value(found)]
        while self.text[self.at : self.at + 1] == ",":
            self.at += 1
            if len(values) == MAX_VALUES:
                raise QueryError(f"A term has at most {MAX_VALUES} values.", column=self.at - 1)
            values.append(self._value(found))
        return tuple(values)

    def _value(self, found: Field) -> Value:
        start, bare, parts = self.at, True, [""]
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "," or char.isspace():
                break
            if char == '"':
                bare = False
                parts[-1] += self._quoted()
                continue
            if char == "*":
                parts.append("")
            else:
                parts[-1] += char
            self.at += 1
        if self.at == start:
            after = repr(self.text[start - 1]) if start else "the start"
            raise QueryError(f"A value is missing after {after}. Values follow without a blank.",
                             column=max(start - 1, 0))  # fmt: skip
        self._note("text" if found is TEXT else "value" if bare else "quoted", start)
        return Value(tuple(parts), bare, start, self.at - start)

    def _quoted(self) -> str:
        start = self.at
        chars: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return "".join(chars)
            if char == "\\":
                char = self.text[self.at : self.at + 1]
                if char not in {'"', "\\"}:
                    raise QueryError('A backslash in quotes stands before " or \\: write \\\\.',
                                     column=self.at - 1)  # fmt: skip
                self.at += 1
            chars.append(char)
        raise QueryError("This quote is not closed.", column=start, length=self.at - start)

    def _note(self, kind: str, start: int) -> None:
        self.spans.append(Span(kind, start, self.at - start))


def unknown(name: str, column: int) -> QueryError:
    """Return the error for a field there is not, with the one that was probably meant."""
    near = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.6)
    meant = MEANT.get(name.lower()) or (near[0] if near else "")
    if re.match(r"[0-9]{1,2}\Z", name):
        advice = f"For a time write at:{name}:…"
    elif meant:
        advice = f"Did you mean {meant}?"
    else:
        advice = f"There are {', '.join(FIELDS)}; values inside the data are data.name"
    return QueryError(
        f"There is no field {name[:80]!r}. {advice} To look for the words, quote them.",
        column=column,
        length=len(name),
    )


def check(term: Term, operator_at: int) -> None:
    """Raise QueryError where a term's values are not what its field takes."""
    if term.operator in ORDER and (len(term.values) > 1 or term.values[0].literal is None):
        raise QueryError(
            f"{term.operator} compares with one value, without commas and stars.",
            column=operator_at, length=term.column + term.length - operator_at,
        )  # fmt: skip
    for value in term.values:
        if term.field.sort == "moment":
            clock.window(term.operator, value)
        elif term.field.sort == "number" or (term.field.sort == "cause" and term.operator in ORDER):
            bounds(term.operator, value)
        elif term.field.name in CHOICES:
            _choice(value, term.field.name)


def _choice(value: Value, name: str) -> None:
    choices = CHOICES[name]
    if value.literal is None or value.literal in choices:
        return
    near = difflib.get_close_matches(value.literal.lower(), choices, n=1, cutoff=0.5)
    meant = f"Did you mean {near[0]}?" if near else f"There are {', '.join(choices)}."
    raise QueryError(f"There is no {name} {value.literal[:80]!r}. {meant}",
                     column=value.column, length=value.length)  # fmt: skip
