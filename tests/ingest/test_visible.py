from __future__ import annotations

import pytest

from apps.ingest.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order.placed", "order.placed"),
        ("é 😀 日本", "é 😀 日本"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\x9b31m", "\\x9b31m"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_it_works(text: str, shown: str) -> None:
    assert visible(text) == shown
