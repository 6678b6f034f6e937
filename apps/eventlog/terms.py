"""The tree of a query: what may be asked of an event, as plain values that print as they parse.

    type:PaymentCaptured,OrderPlaced data.total>100 -source:web "free text"

A query is terms joined by *and*; a term is `-`? field operator values, commas meaning *or*, or a
word looked for anywhere. Equality of trees leaves out where in the text a part stood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as beside
from decimal import Decimal, InvalidOperation
from typing import Literal

from apps.eventlog.errors import QueryError

EQUALITY = (":", "=", "!=", "~")
ORDER = (">", ">=", "<", "<=")
OPERATORS = (">=", "<=", "!=", ":", "=", ">", "<", "~")

Sort = Literal["name", "text", "digits", "number", "cause", "moment", "handled", "json", "any"]


@dataclass(frozen=True, slots=True)
class Field:
    """Something an event can be asked for.

    sort  how its values read: "name" is one of the strings a lane stands for, "digits" a text that
          is compared as a number where it is one, "json" a value inside data or metadata
    """

    name: str
    sort: Sort
    operators: tuple[str, ...]
    help: str


FIELDS = {
    f.name: f
    for f in (
        Field("type", "name", EQUALITY, "type of event"),
        Field("source", "name", EQUALITY, "service that published it"),
        Field("stream", "text", EQUALITY, "entity, for example order-1042 or order-*"),
        Field("correlation", "text", EQUALITY, "everything in one trace"),
        Field("data", "json", EQUALITY + ORDER, "value in the data, for example data.total>100"),
        Field("handled-by", "handled", (":", "="), "subscriber, or subscriber/outcome"),
        Field("at", "moment", (":", "=", *ORDER), "position, time or range: 14:30..14:32"),
        Field("kind", "name", EQUALITY, "event, command, response, delivery, progress or span"),
        Field("outcome", "name", EQUALITY, "deliveries that ended so"),
        Field("subscriber", "name", EQUALITY, "deliveries to this subscriber"),
        Field("id", "text", EQUALITY, "the producer's id"),
        Field("cause", "cause", (":", "=", "!=", *ORDER), "caused by this position or id"),
        Field("causation", "text", EQUALITY, "id of the event that caused it"),
        Field("position", "number", (":", "=", "!=", *ORDER), "place in the log, or a range"),
        Field("channel", "name", EQUALITY, "channel on the bus"),
        Field("partition", "digits", EQUALITY + ORDER, "partition on the bus"),
        Field("offset", "digits", EQUALITY + ORDER, "offset on the bus"),
        Field("key", "text", EQUALITY, "partition or routing key"),
        Field("tap", "name", EQUALITY, "tap that recorded it"),
        Field("datacontenttype", "name", EQUALITY, "content type of the data"),
        Field("metadata", "json", EQUALITY + ORDER, "header or extension attribute"),
        Field("revision", "number", (":", "=", "!=", *ORDER), "place in its stream, from 0"),
        Field("seen", "number", (":", "=", "!=", *ORDER), "how often it arrived: seen>1"),
    )
}
TEXT = Field("", "any", ("",), "words anywhere in the event")

PLAIN_STEP = re.compile(r'[^\s.,:=!<>~"\[\]*]+\Z')
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?\Z")
INTEGER = re.compile(r"#?[0-9]{1,18}\Z")

MOST = 10**18  # more than any position

Scalar = str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a term: literal `parts` with a `*` wildcard between each two.

    `bare` means no part of it was quoted, so that 100 may be a number and true a truth.
    """

    parts: tuple[str, ...]
    bare: bool = True
    column: int = beside(default=0, compare=False)
    length: int = beside(default=1, compare=False)

    @property
    def literal(self) -> str | None:
        """The text, None where the value has a wildcard."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def anything(self) -> bool:
        """Whether this is a `*` alone: there is a value."""
        return self.parts == ("", "")

    def scalar(self) -> Scalar:
        """Return what a literal stands for in JSON: a bare word may be a number or a constant."""
        text = self.parts[0]
        if self.bare and text in CONSTANTS:
            return CONSTANTS[text]
        if self.bare and NUMBER.match(text):
            return number(text)
        return text

    def __str__(self) -> str:
        return "*".join(p if self.bare else quoted(p) for p in self.parts)


CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `path` leads into data or metadata; None in it is any element or key."""

    field: Field
    operator: str
    values: tuple[Value, ...]
    path: tuple[str | None, ...] = ()
    negated: bool = False
    column: int = beside(default=0, compare=False)
    length: int = beside(default=1, compare=False)

    def __str__(self) -> str:
        steps = "".join("." + step_text(step) for step in self.path)
        values = ",".join(str(value) for value in self.values)
        return f"{'-' if self.negated else ''}{self.field.name}{steps}{self.operator}{values}"


@dataclass(frozen=True, slots=True)
class Query:
    """Terms that must all hold; none at all holds for every event."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(str(term) for term in self.terms)


def number(text: str) -> int | Decimal:
    """Return a JSON number exactly."""
    try:
        return int(text)
    except ValueError:
        return decimal(text)


def decimal(text: str) -> Decimal:
    """Return a number with a fraction or exponent exactly, infinite beyond Decimal's range."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("-Infinity") if text.startswith("-") else Decimal("Infinity")


def bounds(operator: str, value: Value) -> tuple[int, int]:
    """Return the whole numbers a value covers under an operator, both included: 7, 100..200, 5.. .

    raises  QueryError for what is no number, with the value's column
    """
    text = value.literal or ""
    first, dots, last = text.partition("..") if operator not in ORDER else (text, "", "")
    if not dots:
        last = first
    if not (first or last) or not all(INTEGER.match(part) for part in (first, last) if part):
        raise QueryError(f"{text!r} is no whole number and no range like 100..200.",
                         column=value.column, length=value.length)  # fmt: skip
    low = int(first.removeprefix("#")) if first else 0
    high = int(last.removeprefix("#")) if last else MOST
    return {
        ">": (low + 1, MOST), ">=": (low, MOST), "<": (0, low - 1), "<=": (0, low),
    }.get(operator, (low, high))  # fmt: skip


def quoted(text: str) -> str:
    """Return `text` as a literal part of a value, whatever is in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def step_text(step: str | None) -> str:
    """Return one step of a path as it is written after its dot."""
    if step is None:
        return "*"
    return step if PLAIN_STEP.match(step) else quoted(step)


def written(text: str) -> str:
    """Return `text` as a value that matches exactly it: bare where that is safe, else quoted."""
    plain = text and not re.search(r'[\s,"*]', text) and ".." not in text
    return text if plain else quoted(text)
