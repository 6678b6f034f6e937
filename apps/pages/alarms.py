"""Findings in words: what is odd, since when, and what is usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from apps.eventlog.terms import written
from apps.pages import words
from apps.pages.words import SECOND, visible


class Finding(Protocol):
    """What is said of a finding."""

    code: str
    subject: str
    stream: str
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


SUBSCRIBERS = frozenset({"failures", "latency", "wait", "stalled"})


def alarm(finding: Finding) -> Alarm:
    """Return a finding in words: what is odd, and the evidence."""
    if finding.code == "rule":
        return _rule(finding)
    name, told = visible(finding.subject), _figure(finding.code)
    low, high = told(finding.low), told(finding.high)
    unit = "/s" if low.endswith("/s") and high.endswith("/s") else ""
    least = "0" if low == "0/s" else low.removesuffix(unit)
    usually = high if low == high else f"{least}–{high}"
    text = f"{_measure(finding)} {told(finding.rate)} since {{}}; usually {usually}.".strip()
    return Alarm(finding, _title(finding, name), text[0].upper() + text[1:], _query(finding))


def _rule(finding: Finding) -> Alarm:
    text = f"Rule {visible(finding.subject)}, broken since {{}}."
    query = f"stream:{written(finding.stream)}" if finding.stream else ""
    return Alarm(finding, f"{visible(finding.stream) or 'A rule'} breaks a rule", text, query)


def _figure(code: str) -> Callable[[float], str]:
    """Return what writes a figure of a finding."""
    if code in ("latency", "wait"):
        return lambda us: words.duration(round(us))
    return (lambda events: words.grouped(round(events))) if code == "lag" else rate


def _measure(finding: Finding) -> str:
    return {"latency": "typically", "wait": "after", "lag": "behind by"}.get(
        finding.code, ""
    ).strip()


def _title(finding: Finding, name: str) -> str:
    middle = (finding.low + finding.high) / 2
    times = words.factor(finding.rate / middle) if middle else "far above"
    return {
        "rate": f"{name} rate {times} its usual",
        "silence": f"{name} is rare" if finding.rate else f"{name} has stopped",
        "failures": f"{name} fails more than usual",
        "latency": f"{name} takes {times} its usual time",
        "wait": f"{name} answers later than usual",
        "lag": f"{name} is behind",
        "stalled": f"{name} answers few" if finding.rate else f"{name} has stopped answering",
    }[finding.code]


def _query(finding: Finding) -> str:
    """Return the query for its events."""
    if finding.code == "lag":
        return f"kind:progress source:{written(finding.subject.partition(' on ')[0])}"
    if finding.code not in SUBSCRIBERS:
        return f"type:{written(finding.subject)}"
    failed = " outcome:failed,dead_lettered" if finding.code == "failures" else ""
    return f"subscriber:{written(finding.subject)}{failed}"
