"""Findings in words: what is odd, since when, and what is usual."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from apps.eventlog.terms import written
from apps.pages import words
from apps.pages.words import SECOND, visible


class Finding(Protocol):
    """What is said of a finding."""

    code: str
    subject: str
    rate: float
    low: float
    high: float


class Alarm(NamedTuple):
    """A finding in words."""

    finding: Any
    title: str
    text: str
    query: str  # that finds its events


def rate(per_second: float) -> str:
    """Return a rate as it is written beside a line."""
    return words.rate(per_second * 1000, 1000 * SECOND)


def alarm(finding: Finding) -> Alarm:
    """Return a finding in words: what is odd, and the evidence."""
    name, low, high = visible(finding.subject), rate(finding.low), rate(finding.high)
    usually = (
        f"usually {low.removesuffix('/s')}–{high}" if low.endswith("/s") else f"usually {high}"
    )
    middle = (finding.low + finding.high) / 2
    if finding.code == "rate":
        times = words.factor(finding.rate / middle) if middle else "far above"
        title = f"{name} rate {times} its usual"
    elif finding.code == "silence":
        title = f"{name} has stopped" if not finding.rate else f"{name} is rare"
    else:
        title = f"{name} fails more than usual"
    text = f"{rate(finding.rate)} since {{}}; {usually}."
    if finding.code == "failures":
        query = f"subscriber:{written(finding.subject)} outcome:failed,dead_lettered"
    else:
        query = f"type:{written(finding.subject)}"
    return Alarm(finding, title, text, query)
