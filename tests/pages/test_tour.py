from __future__ import annotations

from apps.pages.nav import PAGES
from apps.pages.tour import STEPS, reached
from tests.factories import recorded

NONE = frozenset[str]()


def test_steps_are_ready_when_their_page_is_there() -> None:
    names = {page.url for page in PAGES}
    assert len(STEPS) == 6
    for step in STEPS:
        assert step.ready is (step.needs in names)
        assert step.later or step.ready
    assert [step.name for step in STEPS if step.ready][:4] == ["see", "rewind", "began", "cause"]


def test_seeing_is_opening_a_reservation_below_zero() -> None:
    below = recorded(1, type="StockReserved", data={"available": -1})
    above = recorded(1, type="StockReserved", data={"available": 0})
    assert reached(done=NONE, live=True, event=below) == {"see"}
    assert reached(done=NONE, live=True, event=above) == NONE
    assert reached(done=NONE, live=False) == NONE


def test_the_next_steps_come_after_it() -> None:
    seen = frozenset({"see"})
    assert reached(done=seen, live=False) == {"rewind"}
    assert reached(done=seen, live=True, handled_twice=True) == {"cause"}
    assert reached(done=NONE, live=True, handled_twice=True) == NONE
    assert reached(done=frozenset({"see", "rewind"}), live=False) == NONE


def test_what_a_page_took_counts_once_there_is_a_reason() -> None:
    assert reached(done=NONE, live=True, took=("began",)) == NONE
    assert reached(done=frozenset({"see"}), live=True, took=("began",)) == {"began"}
    assert reached(done=NONE, live=True, took=("fix",)) == {"fix"}
    assert reached(done=frozenset({"fix"}), live=True, took=("fix",)) == NONE
