"""How a person likes the pages."""

from __future__ import annotations

from apps.pages.models import Preferences


def preferences(user_id: int) -> Preferences:
    """Return a person's preferences; the usual ones where they never chose any."""
    return Preferences.objects.filter(user_id=user_id).first() or Preferences(user_id=user_id)
