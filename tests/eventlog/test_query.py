from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given

from apps.eventlog.errors import QueryError
from apps.eventlog.query import MAX_LENGTH, Span, parse, spans
from apps.eventlog.terms import FIELDS, TEXT, Query, Term, Value, written
from tests.eventlog.queries_made import NEARLY, QUERIES


def term(name: str, operator: str, *values: str, **rest: Any) -> Term:
    return Term(FIELDS[name], operator, tuple(Value((v,)) for v in values), **rest)


def outcome(text: str) -> Query | QueryError:
    try:
        return parse(text)
    except QueryError as error:
        return error


def refusal(text: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        parse(text)
    return caught.value


def test_it_works() -> None:
    assert parse("type:A,B source:web data.total>100 -type:X") == Query(
        (
            term("type", ":", "A", "B"),
            term("source", ":", "web"),
            term("data", ">", "100", path=("total",)),
            term("type", ":", "X", negated=True),
        )
    )


def test_it_takes_an_empty_text_as_everything() -> None:
    assert parse("") == parse(" \t\n") == Query()


def test_it_reads_words_and_quotes_as_free_text() -> None:
    assert parse('word "free text" -"a,b"').terms == (
        Term(TEXT, "", (Value(("word",)),)),
        Term(TEXT, "", (Value(("free text",), bare=False),)),
        Term(TEXT, "", (Value(("a,b",), bare=False),), negated=True),
    )


def test_it_reads_escapes_in_quotes() -> None:
    assert parse(r'key:"say \"hi\" \\ bye"').terms[0].values[0].literal == r'say "hi" \ bye'


def test_a_quoted_star_is_a_star() -> None:
    assert parse("type:Order*").terms[0].values[0].parts == ("Order", "")
    assert parse('type:"Order*"').terms[0].values[0].parts == ("Order*",)
    assert parse('type:"a b"*c').terms[0].values[0].parts == ("a b", "c")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data~x", ()),
        ("data.a.b:1", ("a", "b")),
        ("data.items[0].sku:1", ("items", "0", "sku")),
        ("data.items.0.sku:1", ("items", "0", "sku")),
        ("data.items.*.sku:1", ("items", None, "sku")),
        ('data."a.b"."*".c:1', ("a.b", "*", "c")),
        ("metadata.content-type:1", ("content-type",)),
        ('data."":1', ("",)),
    ],
)
def test_it_reads_paths(text: str, path: tuple[str | None, ...]) -> None:
    assert parse(text).terms[0].path == path


def test_a_dotted_word_is_text_unless_it_leads_into_data() -> None:
    assert parse("order.placed").terms[0].field is TEXT
    assert refusal("data.total").column == 0


@pytest.mark.parametrize(
    ("text", "column", "length", "words"),
    [
        ("typ:A", 0, 3, "Did you mean type?"),
        ("type:A sauce:web", 7, 5, "Did you mean source?"),
        ("time>3", 0, 4, "Did you mean at?"),
        ("zzzzqq:3", 0, 6, "data.name"),
        ("14:30", 0, 2, "at:14"),
        ("http://x", 0, 4, "quote them"),
        (">5", 0, 1, "A field is missing"),
        ("type:", 4, 1, "A value is missing after ':'"),
        ("type:A, B", 6, 1, "A value is missing after ','"),
        ("type: A", 4, 1, "without a blank"),
        (",a", 0, 1, "A value is missing"),
        ("- type:A", 0, 1, "Nothing follows"),
        ("type:A -", 7, 1, "Nothing follows"),
        ('key:"open', 4, 5, "not closed"),
        (r'key:"a\n"', 6, 1, "backslash"),
        ("data.:1", 4, 1, "A key is missing"),
        ("data[x]:1", 4, 1, "An index"),
        ("data.total", 0, 10, "needs an operator"),
        ("type>5", 4, 1, "takes : = != ~ but not >"),
        ("handled-by!=x", 10, 2, "handled-by takes"),
        ("data.x>1,2", 6, 4, "one value"),
        ("data.x>1*", 6, 3, "one value"),
        ("kind:evnt", 5, 4, "Did you mean event?"),
        ("kind:a,q", 5, 1, "There are event, command"),
        ("outcome:fail", 8, 4, "Did you mean failed?"),
        ("position:abc", 9, 3, "no whole number"),
        ("position:..", 9, 2, "no whole number"),
        ("position>5..6", 9, 4, "no whole number"),
        ("revision:1e3", 9, 3, "no whole number"),
        ("cause>x", 6, 1, "no whole number"),
        ("at:soon", 3, 4, "no moment"),
        ("at:25:00", 3, 5, "no time there is"),
        ("at:2026-02-30", 3, 10, "no time there is"),
        ("at:14:30+25:00", 3, 11, "no time there is"),
        ("at:..", 3, 2, "no moment"),
        ("at:*", 3, 1, "no moment"),
        ("at>14:30..14:31", 3, 12, "no moment"),
        ("type:\0", 5, 1, "cannot hold"),
        ("type:\ud800", 5, 1, "cannot hold"),
    ],
)
def test_an_error_says_where_and_what_to_do(
    text: str, column: int, length: int, words: str
) -> None:
    error = refusal(text)
    assert (error.column, error.length) == (column, length)
    assert words in error.message


def test_it_is_bounded() -> None:
    assert refusal("x" * (MAX_LENGTH + 1)).column == MAX_LENGTH
    assert len(parse("a " * 100).terms) == 100
    assert "100 terms" in refusal("a " * 101).message
    assert len(parse("type:" + ",".join("a" * 100)).terms[0].values) == 100
    assert "100 values" in refusal("type:" + ",".join("a" * 101)).message


@given(QUERIES)
def test_what_it_prints_parses_to_the_same_tree(text: str) -> None:
    if len(text) > MAX_LENGTH:
        return
    tree = parse(text)
    assert parse(str(tree)) == tree


@given(NEARLY)
@example('type:"')
@example("data[99999999999]:1")
@example("--x")
def test_it_raises_nothing_but_a_query_error(text: str) -> None:
    found = outcome(text)
    if isinstance(found, Query):
        assert parse(str(found)) == found
    else:
        assert 0 <= found.column <= max(len(text), 1)
        assert found.length >= 1


@given(NEARLY)
def test_spans_lie_in_the_text_in_order(text: str) -> None:
    end = 0
    for span in spans(text):
        assert end <= span.column <= span.column + span.length <= max(len(text), 1)
        end = span.column + span.length


@given(NEARLY)
def test_spans_show_an_error_exactly_where_there_is_one(text: str) -> None:
    errors = [s for s in spans(text) if s.kind == "error"]
    found = outcome(text)
    if isinstance(found, QueryError):
        assert (errors[0].column, errors[0].message) == (found.column, found.message)
    else:
        assert not errors


def test_spans_colour_what_is_right_around_an_error() -> None:
    assert [(s.kind, s.column, s.length) for s in spans('type:A nope:1 -key:"b c" d')] == [
        ("field", 0, 4), ("op", 4, 1), ("value", 5, 1),
        ("error", 7, 4),
        ("negate", 14, 1), ("field", 15, 3), ("op", 18, 1), ("quoted", 19, 5),
        ("text", 25, 1),
    ]  # fmt: skip


def test_spans_of_a_text_that_is_too_long() -> None:
    assert spans("x" * 2001)[0] == Span("error", 2000, 1, refusal("x" * 2001).message)


@pytest.mark.parametrize("text", ["plain", "a b", "a,b", "*", "", '"', "a..b", "-x", "ü\\"])
def test_a_written_value_means_exactly_itself(text: str) -> None:
    value = parse(f"type:{written(text)}").terms[0].values[0]
    assert value.literal == text
