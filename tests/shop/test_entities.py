from __future__ import annotations

from examples.shop.entities import Entities, merge


def test_it_works() -> None:
    entities = Entities()
    entities.apply("order-1", {"status": "placed", "mail": {"to": "a", "sent": 1}, "lines": [1, 2]})
    entities.apply("order-1", {"status": "paid", "mail": {"sent": 2}, "lines": [3]})

    expected = {"status": "paid", "mail": {"to": "a", "sent": 2}, "lines": [3]}
    assert entities.state("order-1") == expected
    assert entities.state("order-2") == {}


def test_null_removes() -> None:
    assert merge({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": None}}) == {"b": {"d": 3}}


def test_a_merge_leaves_its_patch_alone() -> None:
    patch = {"mail": {"sent": 1}}
    state = merge({}, patch)
    merge(state, {"mail": {"sent": 2}})

    assert patch == {"mail": {"sent": 1}}


def test_it_forgets_the_streams_longest_without_an_event() -> None:
    entities = Entities(kept=2)
    for stream in ("a", "b", "a", "c"):
        entities.apply(stream, {"seen": True})

    assert entities.state("b") == {}
    assert entities.state("a") == entities.state("c") == {"seen": True}


def test_it_never_forgets_a_stock() -> None:
    entities = Entities(kept=1)
    for stream in ("stock-SKU1", "a", "b"):
        entities.apply(stream, {"seen": True})

    assert entities.state("stock-SKU1") == {"seen": True}
