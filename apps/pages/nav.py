"""The pages there are, in the order of the bar: the one list to add a page to."""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """An entry of the navigation."""

    name: str  # as shown
    icon: str
    key: str  # the letter after `g`, "" for none
    url: str  # name of the address; it takes the system's slug
    own: bool = True  # whether the page belongs to a system


PAGES = (
    Page("Live", "live", "l", "pages:live"),
    Page("Events", "events", "e", "pages:events"),
    Page("Traces", "trace", "t", "pages:traces"),
    Page("State", "state", "s", "pages:states"),
    Page("Sandboxes", "fork", "x", "pages:sandboxes"),
    Page("Subscribers", "subs", "u", "pages:subscribers"),
    Page("Sources", "plug", "c", "pages:sources"),
    Page("Welcome", "flag", "", "pages:welcome", own=False),
)


def page(url: str) -> Page:
    """Return the page of an address's name."""
    return next(each for each in PAGES if each.url == url)
