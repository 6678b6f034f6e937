from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.query import parse
from apps.eventlog.suggest import MOST, suggest
from tests.eventlog.queries_made import NEARLY

KNOWN = {
    "type": [("PaymentCaptured", 7), ("OrderPlaced", 3), ("Pay, later", 1)],
    "data.total": [("129", 2)],
}


def completed(text: str, pick: int = 0) -> str:
    cursor = text.index("|")
    text = text.replace("|", "")
    found = suggest(text, cursor, KNOWN)
    return text[: found.start] + found.items[pick].text + text[found.end :]


def test_it_works() -> None:
    assert completed("so|") == "source:"
    assert completed("type:Pay|") == "type:PaymentCaptured"


def test_it_offers_every_field_after_a_blank_and_counts_with_values() -> None:
    assert [i.text for i in suggest("type:A ", 7, {}).items[:2]] == ["type:", "source:"]
    assert suggest("type:", 5, KNOWN).items[0].count == 7


def test_it_replaces_only_the_part_at_the_cursor() -> None:
    assert completed("type:A,ord|xyz,B key:c") == "type:A,OrderPlaced,B key:c"
    assert completed("-ty|p:A") == "-type::A"
    assert completed('a "b c" ty|') == 'a "b c" type:'


def test_it_quotes_what_needs_quotes() -> None:
    assert completed('type:"pay,|') == 'type:"Pay, later"'


def test_it_knows_kinds_and_outcomes_and_paths() -> None:
    assert completed("kind:del|") == "kind:delivery"
    assert completed("outcome:dead|") == "outcome:dead_lettered"
    assert completed("data.to|") == "data.total:"
    assert completed("data.total:1|") == "data.total:129"


def test_it_finds_the_middle_of_a_value_after_its_start() -> None:
    known = {"type": [("XPay", 9), ("PayX", 1)]}
    assert [i.text for i in suggest("type:pay", 8, known).items] == ["PayX", "XPay"]


def test_it_is_bounded() -> None:
    known = {"type": [(f"T{n}", n) for n in range(500)]}
    assert len(suggest("type:", 5, known).items) == MOST


@given(NEARLY, st.integers(-3, 60))
def test_it_never_raises(text: str, cursor: int) -> None:
    found = suggest(text, cursor, KNOWN)
    assert 0 <= found.start <= found.end <= len(text)


@given(st.text("aB ,\"*\\.é'", min_size=1, max_size=10).filter(lambda s: "\0" not in s))
def test_a_suggested_value_means_exactly_itself(value: str) -> None:
    item = suggest("type:", 5, {"type": [(value, 1)]}).items[0]
    assert parse(f"type:{item.text}").terms[0].values[0].literal == value
