from __future__ import annotations

import pytest

from evdebug.sdk import registry
from evdebug.sdk.registry import BY_STREAM, fits, reducer, upcast, upcasted


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REDUCERS", {})
    monkeypatch.setattr(registry, "UPCASTS", {})


def test_a_reducer_is_registered_and_stays_a_function() -> None:
    @reducer("order", streams=["order-*", "cart"], version=2)
    def order(state: object, event: object) -> dict[str, int]:
        return {"n": 1}

    assert order(None, None) == {"n": 1}
    held = registry.REDUCERS["order"]
    assert (held.streams, held.version, held.key) == (("order-*", "cart"), 2, BY_STREAM)


@pytest.mark.parametrize("name", ["", "merge", "taken"])
def test_names_that_cannot_be_used(name: str) -> None:
    reducer("taken")(lambda state, event: state)
    with pytest.raises(ValueError, match="cannot be called"):
        reducer(name)


def test_a_key_is_a_function_or_none() -> None:
    with pytest.raises(ValueError, match="function of the event"):
        reducer("r", key="customer")


def test_upcasters_follow_one_another() -> None:
    upcast("T", from_version=1)(lambda data: {**data, "b": 2})
    upcast("T", from_version=2)(lambda data: {**data, "c": 3})
    assert upcasted("T", 1, {"a": 1}) == (3, {"a": 1, "b": 2, "c": 3})
    assert upcasted("T", 3, {"a": 1}) == (3, {"a": 1})
    assert upcasted("U", 1, {}) == (1, {})
    with pytest.raises(ValueError, match="already"):
        upcast("T", from_version=1)


@pytest.mark.parametrize(
    ("patterns", "stream", "result"),
    [(("order-*",), "order-1", True), (("order-*",), "orders", False), (("a",), "a", True),
     (("a",), "ab", False), (("*",), "", True), ((), "a", False)],
)  # fmt: skip
def test_streams_are_names_or_beginnings(
    patterns: tuple[str, ...], stream: str, result: bool
) -> None:
    assert fits(patterns, stream) is result
