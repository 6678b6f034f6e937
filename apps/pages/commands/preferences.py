"""Changing how one person likes the pages."""

from __future__ import annotations

from collections.abc import Iterable

from apps.access.errors import Refused
from apps.pages.models import Preferences
from apps.pages.tour import STEPS

THEMES = ("", "light", "dark")


def set_preferences(user_id: int, *, theme: str, single_keys: bool) -> Preferences:
    """Keep a person's theme ("" follows the system) and whether single keys do things.

    raises  Refused for a theme there is not
    """
    if theme not in THEMES:
        raise Refused(f"The theme is {theme!r}; expected light, dark or nothing.")
    held, _ = Preferences.objects.update_or_create(
        user_id=user_id, defaults={"theme": theme, "single_keys": single_keys}
    )
    return held


def tick_off(user_id: int, steps: Iterable[str]) -> list[str]:
    """Note steps of the tour as done; return all that are, in order, without unknown ones."""
    held, _ = Preferences.objects.get_or_create(user_id=user_id)
    done = {*held.tour, *steps}
    ordered = [step.name for step in STEPS if step.name in done]
    if ordered != held.tour:
        held.tour = ordered
        held.save(update_fields=["tour"])
    return ordered


def restart_tour(user_id: int) -> None:
    """Forget how far a person is in the tour."""
    Preferences.objects.filter(user_id=user_id).update(tour=[])
