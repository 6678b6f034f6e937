"""Noting where rules broke and held again. What a rule is, and whether it holds, others know."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.db import transaction

from apps.audits.models import Finding, Ruled
from apps.eventlog.places import Line

CODE = "rule"


class Turn(NamedTuple):
    """An event after which a rule is broken by a stream, or holds again."""

    position: int
    log_time: int
    broken: bool
    stream: str


class Place(NamedTuple):
    """Up to where a rule was looked at, and whether it was broken there."""

    position: int
    broken: bool


def place(line: Line, subject: str) -> Place:
    """Return how far a rule was looked at; from the beginning where it is new."""
    known = Ruled.objects.filter(timeline=line.timeline, subject=subject).first()
    return Place(known.position if known else 0, _open(line, subject) is not None)


def turned(line: Line, subject: str, turns: Iterable[Turn], *, after: int, upto: int) -> bool:
    """Note what became of a rule in after < position <= upto; False if others noted it before."""
    with transaction.atomic():
        mine, _ = Ruled.objects.select_for_update().get_or_create(
            timeline=line.timeline, subject=subject, defaults={"position": after}
        )
        if mine.position != after:
            return False
        mine.position = upto
        mine.save(update_fields=["position"])
        finding = _open(line, subject)
        for turn in turns:
            if turn.broken and finding is None:
                finding = Finding.objects.create(
                    timeline=line.timeline, code=CODE, subject=subject, stream=turn.stream,
                    start=turn.log_time, position=turn.position, noticed=turn.log_time,
                    rate=0, low=0, high=0,
                )  # fmt: skip
            elif finding is not None and not turn.broken:
                _end(finding, turn.log_time)
                finding = None
    return True


def only(line: Line, subjects: Collection[str]) -> None:
    """Have no other rules than these: what was found of one that nobody keeps is forgotten."""
    of = (
        Ruled.objects.filter(timeline=line.timeline),
        Finding.objects.filter(timeline=line.timeline, code=CODE),
    )
    for kept in of:
        gone = kept.exclude(subject__in=subjects)
        if gone.exists():  # a DELETE waits for whoever writes, even when there is nothing to do
            gone.delete()


def _open(line: Line, subject: str) -> Finding | None:
    known = Finding.objects.filter(timeline=line.timeline, code=CODE, subject=subject, end=None)
    return known.first()


def _end(finding: Finding, at: int) -> None:
    finding.end = at
    finding.save(update_fields=["end"])
