"""Writing the trail: every command of access ends with `note`."""

from __future__ import annotations

import unicodedata

from apps.access.actor import Actor
from apps.access.models import Trail


def note(actor: Actor, what: str, thing: str = "", *, system_id: int | None = None) -> None:
    """Write down that `actor` did `what` to `thing`, in the caller's transaction.

    Names come from outside: control characters and lone surrogates become '�', so that an entry
    is one line wherever it is printed, and long names are cut.
    """
    Trail.objects.create(
        who=_plain(actor.name, 150),
        user_id=actor.user_id,
        what=what,
        object=_plain(thing, 255),
        system_id=system_id,
        ip=_plain(actor.ip, 45),
    )


def _plain(text: str, limit: int) -> str:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    text = "".join("�" if unicodedata.category(c) in bad else c for c in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"
