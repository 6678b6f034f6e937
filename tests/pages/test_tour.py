from __future__ import annotations

from apps.pages.tour import STEPS, reached
from tests.factories import recorded

NONE = frozenset[str]()


def test_its_first_steps_can_be_done_now() -> None:
    assert [step.name for step in STEPS if step.ready] == ["see", "rewind", "cause"]
    assert len(STEPS) == 6


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
