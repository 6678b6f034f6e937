"""Of states and sandboxes: values as JSON, how far apart two numbers are, where events go."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

from apps.eventlog.places import Line
from apps.pages.blamed import number
from apps.pages.words import visible
from apps.projections import exact
from apps.projections.diff import Change
from apps.projections.exact import MISSING
from apps.sandbox.queries import targets
from apps.sandbox.queries.forks import fork_of

register = template.Library()

SHOWN = 400


@register.filter
def json_text(value: Any) -> str:
    """Return a value as JSON on one line, cut off where it is long; "" for none."""
    if value is MISSING:
        return ""
    text = visible(exact.encode(value)[: SHOWN * 4].decode("utf-8", "ignore"))
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


@register.filter
def difference(change: Change) -> str:
    """Return in a word what a step did: +3, −2, new, gone, changed."""
    a, b = change.before, change.after
    if change.moved is not None:
        return "moved"
    if a is MISSING:
        return "new"
    if b is MISSING:
        return "gone"
    if number(a) and number(b):
        try:
            gap = Decimal(str(b)) - Decimal(str(a))
        except ArithmeticError:
            return "changed"
        return f"{gap:+f}".replace("-", "\u2212") if -(10**18) < gap < 10**18 else "changed"
    return "changed"


@register.simple_tag
def sends_of(line: Line) -> list[str]:
    """Return where runs of the sandbox a line belongs to hand events."""
    fork = fork_of(line)
    return [targets.place(choice) for choice in targets.of(fork.code).values()] if fork else []
