"""The guided tour "find the bug" on the demo shop: its steps, and when each is done."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.envelope import Recorded
from apps.pages.payload import value_at


class Step(NamedTuple):
    """One step. Without the page it needs it is not `ready`, and `text` says what will be."""

    name: str
    title: str
    text: str
    where: str
    keys: tuple[str, ...] = ()
    ready: bool = True
    query: str = ""  # where to begin, on Events


BELOW_ZERO = "type:StockReserved data.available<0"
STEPS = (
    Step("see", "See that something is off",
         "Look for reservations that left less than nothing in stock, and open the first one.",
         "Events", ("g", "e"), query=BELOW_ZERO),
    Step("rewind", "Rewind",
         "Drag the needle to before that event, or step back: every page shows the shop as it was.",
         "any page", ("←",)),
    Step("cause", "Follow the cause",
         "Open what caused it, and what caused that, up to the event one subscriber handled twice.",
         "Events", ("enter",)),
    Step("began", "Ask when it began",
         "The State page will name the first event after which stock-SKU7.available < 0.",
         "State", ready=False),
    Step("fix", "Try the fix",
         "Sandboxes will replay the past without the redelivery and show what differs.",
         "Sandboxes", ready=False),
    Step("keep", "Keep it",
         "A sandbox's run will be saved as a test, with a link to share.",
         "Sandboxes", ready=False),
)  # fmt: skip


def reached(
    *, done: frozenset[str], live: bool, event: Recorded | None = None, handled_twice: bool = False
) -> frozenset[str]:
    """Return the steps that what is on the page completes, without those done already.

    event          the event that is open
    handled_twice  whether a subscriber handled that event more than once
    """
    found = set()
    if (
        event
        and event.type == "StockReserved"
        and value_at(event.data or b"", "available")[:1] == "-"
    ):
        found.add("see")
    if "see" in done and not live:
        found.add("rewind")
    if "see" in done and handled_twice:
        found.add("cause")
    return frozenset(found - done)
