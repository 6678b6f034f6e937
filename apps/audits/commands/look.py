"""Looking at what is new in a timeline, step by step, and noting what is far from usual."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from django.db import transaction

from apps.audits import levels
from apps.audits.levels import Sum
from apps.audits.models import Finding, Looked
from apps.audits.queries.counts import HOUR, SPAN, Subject, counted, measured, same_hour
from apps.audits.unusual import PAST, SPARED, began, judge
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries.levels import unscaled

BEFORE = PAST + SPARED  # steps a judgement looks back
AT_ONCE = 360  # steps judged with one reading: an hour
CERTAIN = 2  # steps in a row that look alike before it is called a finding
TOLD = 2  # times a lag is told in three steps, usually
OVER = 6  # steps in a row that look usual before it is called over


class Judged(NamedTuple):
    """What a subject does now, in the unit of its finding."""

    look: str  # high, low, silent or ""
    now: float
    low: float
    high: float
    began: Callable[[], int]  # how many steps ago what it does now began


class One(NamedTuple):
    who: Subject
    step: int
    judged: Judged | None


class State:
    """What is going on with each subject, while steps are judged in order."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.open = {
            (f.code, f.subject): f
            for f in Finding.objects.filter(timeline=line.timeline, end=None).exclude(code="rule")
        }
        self.odd: dict[tuple[str, str], int] = {}  # steps in a row
        self.calm: dict[tuple[str, str], int] = {}
        self.ended: dict[tuple[str, str], Finding] = {}  # the last of each, of now
        self.changed: dict[int, Finding] = {}
        self.fresh = True

    def see(self, one: One, *, fresh: bool) -> None:
        """Take a verdict on a subject at a step; one that is not fresh only counts as before."""
        who, step, judged = one
        self.fresh = fresh
        look = judged.look if judged else ""
        if who.code == "answers":  # with a type that has stopped its subscribers have, too
            stalled = look in ("low", "silent") and not self._stopped()
            self._follow(("stalled", who.name), stalled, step, judged)
            return
        self._follow((who.code, who.name), look == "high", step, judged)
        if who.code == "rate":
            self._follow(("silence", who.name), look in ("low", "silent"), step, judged)

    def _stopped(self) -> bool:
        return any(code == "silence" and odd for (code, _), odd in self.odd.items())

    def _follow(self, key: tuple[str, str], odd: bool, step: int, judged: Judged | None) -> None:
        self.odd[key] = self.odd.get(key, 0) + 1 if odd else 0
        finding = self.open.get(key)
        if not self.fresh:
            self.calm[key] = 0 if odd else self.calm.get(key, 0) + 1
        elif odd and judged is not None:
            self.calm[key] = 0
            if finding is not None:
                finding.rate = judged.now
                self._note(finding)
            elif self.odd[key] >= CERTAIN:
                self._begin(key, step, judged)
        elif finding is not None:
            self.calm[key] = self.calm.get(key, 0) + 1
            if self.calm[key] >= OVER:
                finding.end = (step + 1 - OVER) * SPAN
                self.ended[key] = self._note(self.open.pop(key))

    def _begin(self, key: tuple[str, str], step: int, judged: Judged) -> None:
        start = (step + 1 - judged.began()) * SPAN
        before = self.ended.pop(key, None) or self._ended(key)
        if before is not None and before.end is not None and before.end >= start:
            before.end, before.rate = None, judged.now  # it was not over after all
            self.open[key] = self._note(before)
            return
        self.open[key] = self._note(
            Finding(
                timeline=self.line.timeline, code=key[0], subject=key[1][:1024], start=start,
                position=min(self.line.head, log.position_at(self.line, start - 1) + 1),
                noticed=(step + 1) * SPAN, rate=judged.now, low=judged.low, high=judged.high,
            )
        )  # fmt: skip

    def _ended(self, key: tuple[str, str]) -> Finding | None:
        known = Finding.objects.filter(timeline=self.line.timeline, code=key[0], subject=key[1])
        return known.exclude(end=None).order_by("-start").first()

    def _note(self, finding: Finding) -> Finding:
        self.changed[id(finding)] = finding
        return finding


def look(line: Line, *, budget: float = 2.0) -> int:
    """Judge the steps that are complete and were not looked at yet; return how many.

    Begins half an hour before what is new, so a past that was sent at once is judged as it would
    have been. May run twice at once: what one has written the other leaves.
    budget  seconds after which it goes on another time
    """
    if line.log_time is None or not line.head:
        return 0
    first = (log.time_at(line, 1) or 0) // SPAN
    last = line.log_time // SPAN - 1  # the last one that no event can still fall into
    known = Looked.objects.filter(timeline=line.timeline).first()
    step = known.step if known else first
    deadline, done = time.monotonic() + budget, 0
    while step < last and time.monotonic() < deadline:
        upto = min(last, step + AT_ONCE)
        if not _judged(line, first, step, upto):
            break
        done += upto - step
        step = upto
    return done


def _judged(line: Line, first: int, step: int, upto: int) -> bool:
    """Judge the steps after `step` up to `upto` and write what came of it; False if others did."""
    state = State(line)
    for one in _steps(line, first, max(first, step - OVER), upto):
        state.see(one, fresh=one.step > step)
    with transaction.atomic():
        mine, _ = Looked.objects.select_for_update().get_or_create(
            timeline=line.timeline, defaults={"step": step}
        )
        if mine.step != step:
            return False
        mine.step = upto
        mine.save(update_fields=["step"])
        for finding in state.changed.values():
            finding.save()
    return True


def _steps(line: Line, first: int, step: int, upto: int) -> Iterator[One]:
    start = max(first, step + 1 - BEFORE)
    counts = counted(line, start, upto)
    times = measured(line, start, upto)
    # Types before their subscribers, which stop with them.
    ranked = sorted(counts, key=lambda who: who.code == "answers")
    hours: dict[Subject, list[float]] = {}
    for at in range(step + 1, upto + 1):
        if at == step + 1 or at % HOUR == 0:
            hours = same_hour(line, at)
        part = slice(max(0, at - BEFORE + 1 - start), at - start + 1)
        for who in ranked:
            yield One(who, at, _counts(who, counts[who][part], hours.get(who, ())))
        for who, sums in times.items():
            yield One(who, at, _level(who, sums[part]))


def _counts(who: Subject, steps: list[int], hours: Sequence[float]) -> Judged | None:
    if who.code != "failures":
        steps = _since_first(steps)
    it = judge(steps, hours=hours, rises_only=who.code == "failures")
    if it is None:
        return None
    return Judged(it.look, it.rate, it.usual.low, it.usual.high, partial(began, steps, it))


def _level(who: Subject, steps: list[Sum]) -> Judged | None:
    """Judge how long something takes, or how far somebody is behind, which is told once a step."""
    it = levels.judge(steps, enough=TOLD if who.code == "lag" else levels.ENOUGH)
    if it is None:
        return None
    now, low, high = (unscaled(who.code, v) for v in (it.now, it.usual.low, it.usual.high))
    return Judged(it.look, now, low, high, partial(levels.began, steps, it))


def _since_first(steps: list[int]) -> list[int]:
    """Leave out the time before a type was there: what is new has no usual yet."""
    first = next((n for n, count in enumerate(steps) if count), len(steps))
    return steps[first:]
