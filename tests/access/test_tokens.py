from __future__ import annotations

import pytest

from apps.access import tokens


def test_it_makes_keys_of_one_shape() -> None:
    made = {tokens.new_key() for _ in range(200)}
    assert len(made) == 200
    assert all(tokens.is_key(key) and len(key) == 47 for key in made)


@pytest.mark.parametrize(
    "text",
    ["", "evk_", "evk_" + "a" * 42, "evk_" + "a" * 44, "evk_" + "a" * 42 + "\n", "EVK_" + "a" * 43]
    + ["evk_" + "a" * 42 + c for c in ("é", "/", "\x00", " ", "\ud800")]
    + ["evk_" + "a" * 43 + "\n", " evk_" + "a" * 43, "evk_" + "a" * 1_000_000],
)
def test_it_knows_what_is_no_key(text: str) -> None:
    assert not tokens.is_key(text)


def test_it_keeps_only_a_hash() -> None:
    key = tokens.new_key()
    assert len(tokens.digest(key)) == 64
    assert key[4:] not in tokens.digest(key)
    assert tokens.digest(key) == tokens.digest(key) != tokens.digest(tokens.new_key())


def test_links_are_not_keys() -> None:
    link = tokens.new_link()
    assert tokens.is_link(link)
    assert not tokens.is_key(link)
    assert not tokens.is_link(link + "\n")
