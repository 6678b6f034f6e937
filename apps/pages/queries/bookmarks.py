"""The named moments and saved queries a person sees."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from apps.eventlog.places import Line
from apps.pages.models import Bookmark, SavedQuery

MOST = 500


def bookmarks(line: Line, *, user_id: int | None) -> list[Bookmark]:
    """Return the moments of a line shared or the person's own, by position, at most 500."""
    found = _seen(Bookmark.objects.filter(timeline_id=line.timeline), user_id)
    return list(found.select_related("made_by").order_by("position", "pk")[:MOST])


def bookmark(line: Line, number: int, *, user_id: int | None) -> Bookmark | None:
    """Return one moment, None where there is none the person may see."""
    return _seen(Bookmark.objects.filter(timeline_id=line.timeline, pk=number), user_id).first()


def saved_queries(line: Line, *, user_id: int | None) -> list[SavedQuery]:
    """Return the queries of a system that are shared or the person's own, by name."""
    found = _seen(SavedQuery.objects.filter(system_id=line.system), user_id)
    return list(found.select_related("made_by").order_by("name", "pk")[:MOST])


def saved_query(line: Line, number: int, *, user_id: int | None) -> SavedQuery | None:
    """Return one saved query, None where there is none the person may see."""
    return _seen(SavedQuery.objects.filter(system_id=line.system, pk=number), user_id).first()


def _seen(rows: QuerySet, user_id: int | None) -> QuerySet:  # type: ignore[type-arg]
    return rows.filter(Q(shared=True) | Q(made_by_id=user_id))
