"""Ticking off the tour's steps as people take them."""

from __future__ import annotations

from django.http import HttpRequest

from apps.pages import tour
from apps.pages.commands.preferences import tick_off
from apps.pages.models import Preferences
from apps.pages.queries.detail import Detail
from apps.pages.views.frame import Frame
from apps.pages.views.liking import likes, remember


def note_progress(
    request: HttpRequest,
    frame: Frame,
    found: Detail | None = None,
    *,
    handled_twice: bool = False,
    took: tuple[str, ...] = (),
) -> None:
    """Tick off what this look completes; writes only when something new is done."""
    held = likes(request)
    twice = any(chip.look == "dup" for chip in found.chips) if found else False
    new = tour.reached(
        done=frozenset(held["tour"]),
        live=frame.at.live,
        event=found.event if found else None,
        handled_twice=twice or handled_twice,
        took=took,
    )
    if new and frame.user_id is not None:
        done = tick_off(frame.user_id, new)
        remember(
            request,
            Preferences(theme=held["theme"], single_keys=held["single_keys"], tour=done),
        )
