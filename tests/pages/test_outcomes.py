from __future__ import annotations

import pytest

from apps.pages.outcomes import Reported, chips, sentence, verdict
from apps.pages.tiles import tiles


@pytest.mark.parametrize(
    ("outcomes", "look", "words"),
    [
        (["handled"], "ok", "handled"),
        (["received", "handled"], "ok", "handled"),
        (["failed", "handled"], "retry", "handled after a retry"),
        (["handled", "skipped"], "ok", "handled"),
        (["handled", "handled"], "dup", "handled twice"),
        (["handled", "failed", "handled", "handled"], "dup", "handled 3 times"),
        (["failed"], "fail", "failed"),
        (["failed", "failed", "dead_lettered"], "fail", "dead-lettered"),
        (["handled", "failed"], "fail", "failed"),
        (["skipped"], "eq", "skipped as duplicate"),
        (["received"], "wait", "has not answered yet"),
        ([], "wait", "has not answered yet"),
    ],
)
def test_one_word_for_what_a_subscriber_did(outcomes: list[str], look: str, words: str) -> None:
    found = verdict(outcomes)
    assert (found[0], found[2]) == (look, words)


def test_a_chip_for_each_subscriber_in_the_services_order() -> None:
    known = tiles(["/web", "orders", "email"])
    made = chips(
        [
            Reported(9, "email", "handled"),
            Reported(7, "orders", "failed"),
            Reported(8, "orders", "handled"),
        ],
        known,
        at=8,
    )
    assert [(c.tile.letter, c.look, c.future) for c in made] == [
        ("O", "retry", False),
        ("E", "ok", True),
    ]
    assert sentence(made) == "orders handled after a retry, email handled after this moment"
