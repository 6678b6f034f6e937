"""Addresses of pages: every state of a page is in its query string, and links carry it on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

# What a link of a page carries on unless it says otherwise, in this order.
KEPT = ("at", "q", "col", "with", "event", "zoom", "timeline", "draw")
BOUND = {"q": 2000, "col": 200}  # characters; all else is short
COLUMNS = 6

Params = dict[str, list[str]]


def kept(given: Mapping[str, Iterable[str]]) -> Params:
    """Return the parameters of a request that links carry on; nothing a stranger made up."""
    found: Params = {}
    for name in KEPT:
        values = [v[: BOUND.get(name, 80)] for v in given.get(name, ()) if v]
        if values:
            found[name] = list(dict.fromkeys(values))[:COLUMNS] if name == "col" else values[-1:]
    return found


def query(params: Params, **changes: str | int | list[str] | None) -> str:
    """Return "?…" with parameters changed; None or "" takes one away, a list sets several."""
    wanted: Params = dict(params)
    for name, value in changes.items():
        if value in (None, "", []):
            wanted.pop(name.rstrip("_"), None)
        else:
            values = value if isinstance(value, list) else [value]
            wanted[name.rstrip("_")] = [str(v) for v in values]
    return "?" + urlencode([(name, v) for name, values in wanted.items() for v in values])
