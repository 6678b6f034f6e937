"""The list of the State page: the entities there are at the playhead, and the read models."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.eventlog.errors import QueryError
from apps.eventlog.queries import log
from apps.pages import blamed
from apps.pages.queries import models
from apps.pages.views.frame import Frame
from apps.pages.words import duration
from apps.projections.queries import entities as listing

BOUND = 2000  # characters of a filter


def listed(request: HttpRequest, frame: Frame, stream: str) -> dict[str, Any]:
    """Return the entities at the playhead, in groups by category, and the read models.

    stream  the one that is open: those of its category are opened by the same projection
    """
    text, order = request.GET.get("f", "")[:BOUND], request.GET.get("order", "")
    asked = listing.field_of(text)
    key = partial(_by_value, field=asked, sign=-1 if order == "high" else 1)
    try:
        found = listing.entities(
            frame.line, at=frame.at.position, text=text, by_name=order == "name",
            key=key if order in ("low", "high") else None,
        )  # fmt: skip
    except QueryError as error:
        return {"groups": [], "filter_error": str(error)}
    known = models.listed(frame.line, at=frame.at.position)
    by = request.GET.get("projection", "")
    category = (
        "" if by in {m.projection for _, rows in known for m in rows} else stream.partition("-")[0]
    )
    times = {e.last: e for e in found.entities}
    log_times = {o.position: o.log_time for o in log.events_at(frame.line, times)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in found.entities:
        words, wrong = blamed.gist(each.state, asked)
        age = (frame.at.time or 0) - log_times.get(each.last, frame.at.time or 0)
        groups.setdefault(each.category, []).append({
            "stream": each.stream, "words": words, "wrong": wrong,
            "age": "now" if each.last == frame.at.position else duration(max(0, age)),
            "address": reverse("pages:state", args=[frame.slug, each.stream]),
            "alike": each.category == category,
        })  # fmt: skip
    begun = None if found.complete else listing.begun(frame.line, at=frame.at.position)
    return {
        "groups": list(groups.items()), "complete": found.complete, "begun": begun,
        "shown": len(found.entities), "deleted": found.deleted, "looked": found.looked,
        "asked": asked, "models": known,
    }  # fmt: skip


def _by_value(state: Any, *, field: str, sign: int) -> tuple[bool, Any]:
    """Return the place of a state in an order by value: those without the number come last."""
    amount = blamed.amount(state, field)
    return amount is None, 0 if amount is None else sign * amount
