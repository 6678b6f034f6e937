"""The guided tour "find the bug" on the demo shop: its steps, and when each is done."""

from __future__ import annotations

from typing import NamedTuple

from apps.eventlog.envelope import Recorded
from apps.pages.nav import PAGES
from apps.pages.payload import value_at

BELOW_ZERO = "type:StockReserved data.available<0"
SHORT = "stock-SKU7"  # whose stock it is


class Step(NamedTuple):
    """One step. Until there is the page it needs it is not `ready`, and `later` is said instead."""

    name: str
    title: str
    text: str
    where: str
    keys: tuple[str, ...] = ()
    needs: str = "pages:events"  # the page's address, as `nav` names it
    later: str = ""
    stream: str = ""  # where to begin: on this entity's page
    query: str = ""  # or on the page, with this query

    @property
    def ready(self) -> bool:
        """Whether it can be taken."""
        return any(page.url == self.needs for page in PAGES)


STEPS = (
    Step("see", "See that something is off",
         "Look for reservations that left less than nothing in stock, and open the first one.",
         "Events", ("g", "e"), query=BELOW_ZERO),
    Step("rewind", "Rewind",
         "Drag the needle to before that event, or step back: every page shows the shop as it was.",
         "any page", ("←",)),
    Step("began", "Ask when it began",
         f"Find the first event after which {SHORT}.available < 0.",
         "State", ("g", "s"), needs="pages:states", stream=SHORT,
         later=f"The State page will name the first event after which {SHORT}.available < 0."),
    Step("cause", "Follow the cause",
         "Open the trace of that event, up to the one that a subscriber handled twice.",
         "Traces", ("g", "t"), needs="pages:traces",
         later="The Traces page will lead to the event that a subscriber handled twice."),
    Step("fix", "Try the fix",
         "Skip the second delivery in a sandbox, run it, and see what differs.",
         "Sandboxes", ("g", "x"), needs="pages:sandboxes",
         later="Sandboxes will replay the past without the redelivery and show what differs."),
    Step("keep", "Keep it",
         "Save the run as a test, and share the link.",
         "Sandboxes", ("y",), needs="pages:sandboxes",
         later="A sandbox's run will be saved as a test, with a link to share."),
)  # fmt: skip
_AFTER_SEEING = ("rewind", "began", "cause")


def reached(
    *,
    done: frozenset[str],
    live: bool,
    event: Recorded | None = None,
    handled_twice: bool = False,
    took: tuple[str, ...] = (),
) -> frozenset[str]:
    """Return the steps that what is on the page completes, without those done already.

    event          the event that is open
    handled_twice  whether a subscriber handled that event, or one of the open trace, repeatedly
    took           steps that what was just asked for completes, as their page knows
    """
    found = set(took)
    if (
        event
        and event.type == "StockReserved"
        and value_at(event.data or b"", "available")[:1] == "-"
    ):
        found.add("see")
    if not live:
        found.add("rewind")
    if handled_twice:
        found.add("cause")
    if "see" not in done:  # before there is a reason to look, looking is no step
        found.difference_update(_AFTER_SEEING)
    return frozenset(found - done)
