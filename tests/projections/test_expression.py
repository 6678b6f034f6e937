from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projections.exact import MISSING
from apps.projections.expression import Expression
from apps.projections.grammar import ExpressionError
from tests.projections.values import objects

STATE: dict[str, Any] = {
    "available": -1, "sku": "SKU7", "price": Decimal("12.50"), "ok": True, "none": None,
    "big": 2**70, "lines": [{"qty": 1, "sku": "a"}, {"qty": 3, "sku": "b"}], "tags": ["x", "y"],
    "inner": {"a b": 1, "deep": {"n": 7}},
}  # fmt: skip


def value(text: str, state: Any = None, **names: Any) -> Any:
    return Expression(text).value(state=STATE if state is None else state, **names)


@pytest.mark.parametrize(
    "text",
    [
        "state.available < 0",
        "state.available + 1 == 0 && state.sku == 'SKU7'",
        "state.price * 2 == 25",
        "state.price == 12.5",
        "state.available == -1.0",
        "state.big == 1180591620717411303424",
        "!(state.available >= 0)",
        "state.ok",
        "state.none == null",
        "state.lines[1].qty == 3",
        "state.lines.exists(l, l.qty > 2)",
        "state.lines.all(l, l.qty > 0) && !state.lines.all(l, l.qty > 1)",
        "state.lines.filter(l, l.qty > 1).size() == 1",
        "state.lines.map(l, l.qty) == [1, 3]",
        "state.lines.exists_one(l, l.sku == 'a')",
        "size(state.tags) == 2",
        "'x' in state.tags && !('z' in state.tags)",
        "'sku' in state",
        "state.inner['a b'] == 1",
        "state.inner.deep.n % 4 == 3",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "state.sku.startsWith('SKU') && state.sku.contains('U7') && state.sku.endsWith('7')",
        "state.sku.lowerAscii() == 'sku7'",
        "state.ok ? true : state.nothing",
        "has(state.sku) && !has(state.nothing) && !has(state.nothing.more)",
        "int('7') == 7 && double('1.5') == 1.5 && string(7) == '7' && abs(-2.5) == 2.5",
        "{'a': 1}.a == 1",
        "true || state.nothing",
        "1 < 2 == true",
        '"\\u0041\\n" == "A\\n"',
        "0x10 == 16 && 1e3 == 1000",
        "state.available < 0 // a remark",
    ],
)
def test_it_holds(text: str) -> None:
    assert value(text) is True


@pytest.mark.parametrize("sign", ["==", "!=", "<", ">", "<=", ">=", "in"])
def test_a_missing_field_makes_every_comparison_false(sign: str) -> None:
    assert value(f"state.nothing {sign} 1") is False
    assert value(f"state.nothing.more {sign} state.sku") is False


@pytest.mark.parametrize("text", ["state.sku < 1", "state.ok == 1", "state.sku == 7", "'a' > 1"])
def test_values_of_different_types_are_neither_equal_nor_ordered(text: str) -> None:
    assert value(text) is False


@pytest.mark.parametrize("text", ["state.sku + 1", "-state.sku", "state.lines['a']", "size(1)"])
def test_what_does_not_fit_is_missing(text: str) -> None:
    assert value(text) is MISSING


def test_the_names_there_are() -> None:
    event = {"type": "StockReserved", "data": {"qty": 2}}
    text = "event.type == 'StockReserved' && event.data.qty == 2 && stream == 's' && position == 7"
    assert value(text, event=event, stream="s", position=7)
    assert value("time > '2026-05-12'", time="2026-05-12T14:32:07.529Z")


def test_an_entity_before_a_field_is_its_state() -> None:
    expression = Expression("stock-SKU7.available < 0 && `order 1/2`.paid == true")
    assert expression.entities == {"stock-SKU7", "order 1/2"}
    others = {"order 1/2": {"paid": True}}
    assert expression.holds(state=STATE, stream="stock-SKU7", others=others)
    assert not expression.holds(state=STATE, stream="stock-SKU7")


def test_a_minus_between_fields_is_a_minus() -> None:
    assert value("state.available-state.available == 0")
    assert value("state.lines.all(x, x.qty-1 >= 0)")


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 0, "empty"),
        ("state.", 6, "field's name"),
        ("state.available <", 17, "value is missing"),
        ("state.available < < 0", 18, "value is missing"),
        ("(state.ok", 9, "')' was expected"),
        ("state.ok state.ok", 9, "not expected"),
        ("state.sku == 'a", 13, "ends with the mark"),
        ("frob(1)", 0, "no function 'frob'"),
        ("state.tags.frob(1)", 11, "no function 'frob'"),
        ("size()", 0, "takes 1"),
        ("has(state)", 0, "asks for a field"),
        ("state.tags.all(1, true)", 15, "name for each element"),
        ("state.ok ? 1", 12, "':' was expected"),
        ("1 # 2", 2, "means nothing"),
        ("(" * 60 + "1" + ")" * 60, 50, "nested"),
        ("+".join(["1"] * 150), 0, "more than 200"),
        ("1" + " " * 2000, 0, "2001 characters"),
    ],
)
def test_errors_say_where_and_what(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert words in caught.value.message
    if words != "more than 200":
        assert caught.value.column == column


def test_dividing_by_zero_is_an_error_in_words() -> None:
    with pytest.raises(ExpressionError, match="divides by zero") as caught:
        value("state.available / 0 > 1")
    assert caught.value.column == 16
    with pytest.raises(ExpressionError):
        value("1 % (state.available + 1)")


def test_work_without_end_is_stopped() -> None:
    state = {"l": list(range(1000))}
    started = time.monotonic()
    with pytest.raises(ExpressionError, match="elements"):
        value("state.l.all(a, state.l.all(b, state.l.all(c, true)))", state)
    assert time.monotonic() - started < 5
    many = " * ".join(["state.n"] * 60)
    with pytest.raises(ExpressionError, match="digits"):
        value(f"{many} > 1", {"n": 10**4000})


def test_numbers_beyond_bounds_do_no_harm() -> None:
    huge = {"n": Decimal("1e999999999"), "f": float("inf"), "d": Decimal("1.5")}
    assert value("state.n * 10 > 1", huge) is False
    assert value("state.n > 5", huge) is True
    assert value("state.f - state.d > 1", huge) is False
    assert value("abs(-state.n) == state.n", huge) is True
    assert value("int(state.n) > 1", huge) is False


@given(st.text(st.sampled_from("state.ab <>=!&|+-*/%?:()[]{}'\"`1.,\\in"), max_size=40), objects)
def test_any_text_is_an_expression_or_an_error(text: str, state: Any) -> None:
    wrong: list[ExpressionError] = []
    try:
        Expression(text).value(state=state)
    except ExpressionError as error:
        wrong.append(error)
    assert all(0 <= error.column <= len(text) for error in wrong)
