"""Where in a record the parts of an event are."""

from __future__ import annotations

import msgspec
import pytest

from apps.ingest import picks
from apps.ingest.problems import Invalid

BODY = (
    b'{"order":{"id":"o-1","total":12.50},"lines":[{"sku":"A"},{"sku":"B"}],"a.b":"dotted",'
    b'"big":18446744073709551617,"none":null,"empty":""}'
)


def found(text: str) -> object:
    parts = picks.Parts(
        body=BODY, headers={"CID": "c-1", "x-ts": "1700000000123"}, facts={"app_id": "web"},
        plain={"key": "k-1", "channel": "orders", "partition": "", "offset": "7", "time": ""},
    )  # fmt: skip
    raw = picks.value(picks.parse(text), parts)
    return None if raw is None else msgspec.json.decode(raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.order.id", "o-1"),
        ("order.id", "o-1"),
        ("lines.1.sku", "B"),
        ('data["a.b"]', "dotted"),
        ("data.a.b", "dotted"),
        ("big", 18446744073709551617),
        ("headers.cid", "c-1"),
        ('headers["CID"]', "c-1"),
        ("fields.cid", "c-1"),
        ("facts.app_id", "web"),
        ("key", "k-1"),
        ('"order-" + order.id', "order-o-1"),
        ("'a' + 'b'", "ab"),
        ("data.missing ?? key", "k-1"),
        ("none ?? empty ?? offset", "7"),
        ('"x" + missing ?? key', "k-1"),
        ("headers.x-ts as unix ms", 1700000000123000),
        ("missing", None),
        ("partition", None),
        ("lines.9.sku", None),
        ("order.id.deeper", None),
    ],
)
def test_it_works(text: str, expected: object) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "data..x", "+ a", "a +", "a ?? ", "headers", "key.x", 'a["b', "a[b", '"open', "a b",
     "x as unix years", "a" * 501, "{}", "a = b"],
)  # fmt: skip
def test_what_says_no_place_is_refused(text: str) -> None:
    with pytest.raises(picks.BadPick):
        picks.parse(text)


def test_what_is_no_count_is_said() -> None:
    with pytest.raises(Invalid, match="no count of ms"):
        found("headers.cid as unix ms")
