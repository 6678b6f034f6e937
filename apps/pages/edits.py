"""Changing one thing in a query's text and leaving the rest as it was typed."""

from __future__ import annotations

from apps.eventlog.errors import QueryError
from apps.eventlog.query import parse
from apps.eventlog.terms import Query, Term, written


def chosen(query: Query, field: str) -> frozenset[str]:
    """Return the values a query asks for in one field: those of its terms `field:a,b`."""
    return frozenset(
        value.literal
        for term in query.terms
        if _plain(term, field)
        for value in term.values
        if value.literal is not None
    )


def toggled(text: str, field: str, value: str) -> str:
    """Return `text` with one value of a field added to what is asked for, or taken away.

    A value is added to the field's first term, so that it widens the search. A text that cannot
    be read gets a term more.
    """
    try:
        query = parse(text)
    except QueryError:
        return f"{text.strip()} {field}:{written(value)}".strip()
    terms = [term for term in query.terms if _plain(term, field)]
    if value in chosen(query, field):
        for term in reversed(terms):
            kept = [text[v.column : v.column + v.length] for v in term.values if v.literal != value]
            text = _spliced(text, term, f"{field}:{','.join(kept)}" if kept else "")
        return text.strip()
    if terms:
        end = terms[0].column + terms[0].length
        return f"{text[:end]},{written(value)}{text[end:]}"
    return f"{text.strip()} {field}:{written(value)}".strip()


def without(text: str, term: Term) -> str:
    """Return `text` without one of its terms."""
    return _spliced(text, term, "").strip()


def mentions(query: Query, field: str) -> bool:
    """Return whether a query says anything about a field."""
    return any(term.field.name == field for term in query.terms)


def paths(query: Query) -> list[str]:
    """Return the dotted paths into data a query asks about, each once: what is worth a column."""
    found = [
        ".".join(step for step in term.path if step)
        for term in query.terms
        if term.field.name == "data" and term.path and None not in term.path
    ]
    return list(dict.fromkeys(found))


def _plain(term: Term, field: str) -> bool:
    return term.field.name == field and term.operator in (":", "=") and not term.negated


def _spliced(text: str, term: Term, instead: str) -> str:
    before, after = text[: term.column], text[term.column + term.length :]
    return before + instead + after if instead else before.rstrip() + " " + after.lstrip()
