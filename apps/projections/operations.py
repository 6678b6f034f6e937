"""What the signs and functions of expressions do with two values; MISSING where they do not fit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal, InvalidOperation, Overflow
from typing import Any

from apps.projections.exact import MISSING
from apps.projections.grammar import ExpressionError

DIGITS = 5000  # of a whole number that arithmetic may make
_LARGE = 10**40  # fractions beyond this are not made whole numbers


def numeric(value: Any) -> bool:
    return isinstance(value, int | Decimal | float) and not isinstance(value, bool)


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are equal: numbers by value, else of one type."""
    if numeric(a) and numeric(b):
        return bool(a == b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(v, b[k]) for k, v in a.items())
    return bool(a == b)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(a: Any, b: Any) -> bool:
        if (numeric(a) and numeric(b)) or (isinstance(a, str) and isinstance(b, str)):
            return compare(a, b)
        return False

    return test


def _within(a: Any, b: Any) -> bool:
    if isinstance(b, dict):
        return isinstance(a, str) and a in b
    return isinstance(b, list) and any(equal(a, each) for each in b)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal, "!=": lambda a, b: not equal(a, b), "in": _within,
    "<": _ordered(operator.lt), "<=": _ordered(operator.le),
    ">": _ordered(operator.gt), ">=": _ordered(operator.ge),
}  # fmt: skip


def calculated(sign: str, a: Any, b: Any, column: int) -> Any:
    if isinstance(a, float) or isinstance(b, float):  # Python refuses to mix them with Decimal
        a, b = _exactly(a), _exactly(b)
        if a is MISSING or b is MISSING:
            return MISSING
    try:
        if sign in "/%" and b == 0:
            raise ExpressionError("This divides by zero.", column=column)
        if sign in "/%" and isinstance(a, int) and isinstance(b, int):
            return _whole(sign, a, b)  # towards zero, as CEL does
        value = _OPERATORS[sign](a, b)
    except (InvalidOperation, Overflow):
        return MISSING
    if isinstance(value, int) and abs(value).bit_length() > DIGITS * 3.33:
        raise ExpressionError(f"This makes a number of more than {DIGITS} digits.", column=column)
    return value


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "%": operator.mod,
}  # fmt: skip


def _whole(sign: str, a: int, b: int) -> int:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if sign == "/" else a - b * quotient


def _exactly(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    number = Decimal(str(value))
    return number if number.is_finite() else MISSING


def size(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else MISSING


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return int(value) if len(value) < 4000 and digits.isdecimal() else MISSING
    return int(value) if numeric(value) and -_LARGE < value < _LARGE else MISSING


def _double(value: Any) -> Any:
    try:
        if isinstance(value, str) or numeric(value):
            number = Decimal(str(value)[:DIGITS])
            return number if number.is_finite() else MISSING
    except (InvalidOperation, ValueError):
        pass
    return MISSING


def _string(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value) if numeric(value) else MISSING
    except ValueError:  # more digits than Python writes
        return MISSING


def _abs(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.copy_abs()  # abs() rounds, and overflows
    return abs(value) if numeric(value) else MISSING


def negative(value: Any) -> Any:
    """Return a number with its sign turned."""
    if isinstance(value, Decimal):
        return value.copy_negate()
    return -value if numeric(value) else MISSING


CALLS: dict[str, Callable[[Any], Any]] = {
    "size": size, "int": _int, "double": _double, "string": _string,
    "abs": _abs,
}  # fmt: skip


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else MISSING


TESTS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith, "endsWith": str.endswith, "contains": str.__contains__,
}  # fmt: skip
