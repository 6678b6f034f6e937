from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.query import parse
from apps.pages.edits import chosen, mentions, paths, toggled, without


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ("", "A", "type:A"),
        ("data.total>100", "A", "data.total>100 type:A"),
        ("type:A", "B", "type:A,B"),
        ("type:A  data.x:1", "B", "type:A,B  data.x:1"),
        ("type:A,B data.x:1", "A", "type:B data.x:1"),
        ("type:A data.x:1", "A", "data.x:1"),
        ("data.x:1 type:A", "A", "data.x:1"),
        ("-type:A", "A", "-type:A type:A"),
        ("type:A", 'with "quotes", and blanks', 'type:A,"with \\"quotes\\", and blanks"'),
        ('type:"a b",C', "a b", "type:C"),
        ("typ:oops", "A", "typ:oops type:A"),
        ("type:A type:B", "B", "type:A"),
    ],
)
def test_a_value_is_added_or_taken_away(text: str, value: str, after: str) -> None:
    assert toggled(text, "type", value) == after


@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
            min_size=1,
            max_size=8,
        ),
        unique=True,
        max_size=6,
    )
)
def test_adding_and_taking_away_leaves_nothing(values: list[str]) -> None:
    text = "data.total>100"
    for value in values:
        text = toggled(text, "source", value)
    assert chosen(parse(text), "source") == set(values)
    for value in values:
        text = toggled(text, "source", value)
    assert text == "data.total>100"


def test_a_term_is_dropped() -> None:
    text = "type:A data.total>100 source:web"
    assert [without(text, term) for term in parse(text).terms] == [
        "data.total>100 source:web", "type:A source:web", "type:A data.total>100",
    ]  # fmt: skip


def test_what_a_query_speaks_of() -> None:
    query = parse("-kind:delivery data.total>1 data.psp.key:x data.lines.*.sku:y data.total<9")
    assert mentions(query, "kind")
    assert not mentions(query, "type")
    assert paths(query) == ["total", "psp.key"]
