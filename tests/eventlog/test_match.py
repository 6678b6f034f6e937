from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Recorded
from apps.eventlog.errors import QueryError
from apps.eventlog.match import lane_matcher, matcher
from apps.eventlog.query import parse
from apps.eventlog.terms import Term, Value
from apps.eventlog.values import contains, like
from tests.eventlog.made import recorded
from tests.eventlog.queries_made import QUERIES

BIG = 123456789012345678901234567890
DATA = {
    "total": 129.0, "n": 1, "text": "1", "big": BIG, "yes": True, "no": None, "empty": "",
    "tags": ["blue", "red"], "items": [{"sku": "SKU7", "qty": 2}, {"sku": "SKU9", "qty": 1}],
    "a.b": {"c d": 5}, "name": "Ünal Straße", "0": "zero",
}  # fmt: skip
EVENT = recorded(
    100, data=DATA, metadata={"x-tenant": "acme", "n": 3}, stream="order-1042", revision=2,
    correlation="c-1", causation="id-99", cause=99, channel="shop.orders", partition="3",
    offset="88412", key="k 1", tap="kafka", seen=2,
)  # fmt: skip


def holds(text: str, event: Recorded = EVENT) -> bool:
    return matcher(parse(text), as_of=0, handled=lambda position, term: False)(event)


def test_it_works() -> None:
    assert holds("type:OrderPlaced data.total>100 stream:order-*")
    assert not holds("type:OrderPlaced data.total>200 stream:order-*")
    assert holds("")


@pytest.mark.parametrize(
    "text",
    [
        "type:A,OrderPlaced", "-type:A", "type:Order*", "type:*Placed", "type:O*r*d", "type~ERPLA",
        "type!=A", "kind:event", "stream:order-1042", "stream:*", "-channel:x", "partition:3",
        "offset>88411", "offset<=88412", "-offset>99999", 'key:"k 1"', "key:k*1", "id:id-100",
        "correlation:c-1", "causation:id-99", "cause:99", "cause:id-9*", "cause:90..99",
        "cause!=5", "cause>98", "position:100", "position:50..", "position:..100", "position>=100",
        "revision:2", "revision!=3", "seen>1", "tap:kafka", "datacontenttype:*json",
        "metadata.x-tenant:acme", "metadata.n:3", "metadata~ACME", "at:100", "at:50..200",
        "at:1970-01-01", "at<1970-01-02", "-outcome:*", "-subscriber:/shop",
    ],
)  # fmt: skip
def test_it_looks_at_every_field(text: str) -> None:
    assert holds(text)
    negated = text[1:] if text.startswith("-") else f"-{text}"
    assert not holds(negated)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.n=1", True), ("data.n=1.0", True), ("data.n=1e0", True), ("data.n:1", True),
        ('data.n:"1"', False), ('data.n="1"', False), ("data.n!=2", True), ("data.n!=1.0", False),
        ("data.text=1", False), ('data.text="1"', True), ("data.text:1", True),
        ("data.text>0", False), ('data.text>"0"', True), ("data.n>0.5", True), ("data.n>1", False),
        ("data.total=129", True), ("data.total>=129", True), ("data.total~29", True),
        (f"data.big={BIG}", True), (f"data.big={BIG + 1}", False), (f"data.big<{BIG + 1}", True),
        (f"data.big>{BIG - 1}", True), ("data.big>1e29", True), ("data.big>1e999999999", False),
        ("data.yes=true", True), ("data.yes:true", True), ("data.yes=1", False),
        ('data.yes:"true"', False), ("data.no=null", True), ("data.no:*", True),
        ("data.empty:*", True), ('data.empty:""', True), ("data.yes>0", False),
        ("data.items.0.sku:SKU7", True), ("data.items[1].sku:SKU7", False),
        ("data.items.*.sku:SKU9", True), ("data.items.*.qty>2", False),
        ("data.items.2.sku:*", False),
        ("data.items.-1.sku:*", False), ("data.items.٠.sku:*", False), ("data.0:zero", True),
        ("data.tags:blue", False), ("data.tags.*:blue", True), ("data.tags~BLU", True),
        ('data."a.b"."c d"=5', True), ("data.a.b:*", False), ("data.*.sku:*", False),
        ("data~sku9", True), ("data~nothere", False), ("data.name~ünal", True),
        ("data.name~STRASSE", True), ("data.name:Ünal*", True), ("data.name:ünal*", False),
        ("data.name~ün*str", True), ("data.name~str*ün", False),
    ],
)  # fmt: skip
def test_it_compares_json_values(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize("operator", [":", "=", "!=", ">", ">=", "<", "<=", "~"])
def test_a_missing_field_makes_a_comparison_false(operator: str) -> None:
    assert not holds(f"data.nope{operator}5")
    assert holds(f"-data.nope{operator}5")
    assert not holds(f"data.n.deeper{operator}5")
    if operator != "~":
        assert not holds(f"cause{operator}5", recorded())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SKU7", True), ("sku7", True), ("straße", True), ("STRASSE", True), ("acme", True),
        ("order-1042", True), ("C-1", True), ("88412", False), ("nothere", False),
        ("sku*9", True), ("nothere,blue", True), ("-nothere", True), ('"k 1"', True),
    ],
)  # fmt: skip
def test_free_text_is_looked_for_anywhere(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_free_text_sees_through_json_escapes() -> None:
    event = recorded(data=rb'{"a":"caf\u00e9 \"x\"","b":[1.50]}')
    assert holds("café", event)
    assert holds(r'"\"x\""', event)
    assert holds("data.a~CAFÉ", event)
    assert holds("data.b.0:1.5", event)
    assert not holds("tea", event)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"NaN", b'"\\ud800"', b"9" * 5000, b"1e400",
     b"1e9999999999", b'{"a":1,"a":2}', b"null"],
)  # fmt: skip
def test_hostile_data_is_compared_without_a_crash(data: bytes) -> None:
    event = recorded(data=data)
    for text in ("data.a:2", "data>5", "data~x", "word", "data.*.*:1", "data:*", "data=null"):
        matcher(parse(text))(event)
    assert not holds("data.a:1", event)
    assert holds("data>1e300", event) is (data in {b"1e400", b"1e9999999999"})


def test_data_that_is_not_json_is_text() -> None:
    event = recorded(data=b"hello world", content_type="text/plain")
    assert holds("data~WORLD", event)
    assert holds('data="hello world"', event)
    assert not holds("data.a:*", event)


def test_forgotten_data_is_missing() -> None:
    event = recorded(data={"a": 1})
    event = type(event)(**{f: getattr(event, f) for f in event.__struct_fields__} | {"data": None})
    assert not holds("data.a:1", event)
    assert holds("-data:*", event)


def test_names_are_never_missing_but_a_star_asks_for_one() -> None:
    bare = recorded()
    assert holds('stream:"" stream!=x', bare)
    assert not holds("stream:*", bare)


def test_deliveries_have_an_outcome_and_a_subscriber() -> None:
    failed = recorded(kind="delivery", type="failed", source="email")
    assert holds("outcome:failed subscriber:email", failed)
    assert not holds("outcome!=failed", failed)
    assert not holds("outcome:failed", recorded(type="failed"))
    assert holds("-outcome:failed", recorded(type="failed"))


def test_handled_by_needs_someone_to_ask() -> None:
    query = parse("-handled-by:email/failed")
    with pytest.raises(QueryError) as caught:
        matcher(query)
    assert (caught.value.column, caught.value.length) == (0, 24)
    asked: dict[int, str] = {}

    def handled(position: int, term: Term) -> bool:
        asked[position] = str(term)
        return False

    assert matcher(query, handled=handled)(EVENT)
    assert asked == {100: "-handled-by:email/failed"}


def test_data_is_parsed_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def decode(raw: bytes, content_type: str) -> dict[str, int]:
        parsed.append(raw)
        return {}

    monkeypatch.setattr("apps.eventlog.match.decode", decode)
    assert not holds("data.a:1 data.b:2")
    assert not holds("type:Other data.a:1")
    holds("-data.a:1 -data.b:2")
    assert parsed == [EVENT.data, EVENT.data]


@given(QUERIES)
def test_a_lane_answers_name_terms_as_its_events_do(text: str) -> None:
    terms = [t for t in parse(text).terms if t.field.sort == "name"]
    whole = type(parse(text))(tuple(terms))
    assert lane_matcher(terms)(EVENT) is matcher(whole)(EVENT)


@given(QUERIES)
def test_any_query_has_a_verdict_on_any_event(text: str) -> None:
    query = parse(text)
    handled = lambda position, term: True  # noqa: E731
    assert matcher(query, handled=handled)(EVENT) is all(
        matcher(type(query)((term,)), handled=handled)(EVENT) for term in query.terms
    )


PARTS = st.lists(st.text("ab", max_size=3), min_size=2, max_size=4).map(tuple)


@given(st.text("ab", max_size=8), PARTS)
def test_wildcards_match_as_a_regular_expression_would(text: str, parts: tuple[str, ...]) -> None:
    found = re.fullmatch(".*".join(parts), text) is not None
    assert like(text, parts) is (found and bool(text or any(parts)))
    assert contains(text, Value(parts)) is (re.search(".*".join(parts), text) is not None)


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("source:web", "/web", True),
        ("source:web", "web", True),
        ("source:/web", "/web", True),
        ("source:/web", "web", False),
        ("source:we*", "/web", True),
        ("source!=web", "/web", False),
        ("-source:web", "/web", False),
        ("source:web", "/web/2", False),
        ("source:web", "//web", False),
        ('source:""', "/", True),
    ],
)
def test_a_service_is_found_with_and_without_its_slash(
    text: str, source: str, expected: bool
) -> None:
    assert matcher(parse(text))(recorded(1, source=source)) is expected
