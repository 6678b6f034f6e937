"""Looking at a log: what is found, since when, once, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from apps.access.actor import CONSOLE
from apps.access.errors import NotVisible
from apps.access.models import Trail
from apps.audits.commands.look import look
from apps.audits.commands.mute import mute
from apps.audits.models import Finding, Looked
from apps.audits.queries.findings import findings
from apps.audits.unusual import STEP_S
from apps.eventlog.envelope import Envelope
from tests.audits.test_unusual import arrivals
from tests.factories import envelope

T0 = 1_800_000_000_000_000  # on a step
STEP = STEP_S * 1_000_000
CALM, ODD = 200, 12


def story(log: Any, name: str, counts: list[int], **fields: Any) -> None:
    """Append `counts` events of a type, step by step, and a pulse that keeps time going."""
    batch: list[Envelope] = []
    for step, count in enumerate(counts):
        at = T0 + step * STEP
        batch += [envelope(type="Pulse", time=at), envelope(type="Pulse", time=at + STEP - 1)]
        batch += [
            envelope(type=name, time=at + STEP * n // (count + 1), **fields) for n in range(count)
        ]
    batch.sort(key=lambda e: e.time or 0)
    for start in range(0, len(batch), 5000):
        log.append(*batch[start : start + 5000], now=T0 + 10**12)


def found() -> list[tuple[str, str]]:
    return [(f.code, f.subject) for f in Finding.objects.order_by("start", "code")]


def test_it_works(log: Any) -> None:
    story(log, "Paid", [*arrivals(13, CALM), *arrivals(40, ODD)])
    assert look(log.line) > 100
    (finding,) = Finding.objects.all()
    assert (finding.code, finding.subject, finding.end) == ("rate", "Paid", None)
    assert finding.start == pytest.approx(T0 + CALM * STEP, abs=STEP)
    assert finding.noticed - finding.start <= 5 * STEP
    first = log.read(after=finding.position - 1, limit=1)[0]
    assert first.log_time >= finding.start
    assert log.read(after=finding.position - 2, limit=1)[0].log_time < finding.start
    assert finding.low < 1.3 < finding.high < finding.rate


@pytest.mark.parametrize("after", [[0] * ODD, [1] * ODD])
def test_silence_counts(log: Any, after: list[int]) -> None:
    story(log, "Paid", [*arrivals(13, CALM), *after])
    look(log.line)
    assert found() == [("silence", "Paid")]


def test_failures_count(log: Any) -> None:
    story(log, "failed", [*[0, 0, 1] * 66, *[9] * ODD], kind="delivery", source="/email")
    look(log.line)
    assert found() == [("failures", "email")]


def test_a_calm_day_has_no_findings(log: Any) -> None:
    story(log, "Paid", arrivals(8, 600, seed=3))
    look(log.line)
    assert found() == []


def test_it_is_found_once_however_often_one_looks_and_ends(log: Any) -> None:
    steps = [*arrivals(13, CALM), *arrivals(40, ODD), *arrivals(13, 30, seed=2)]
    story(log, "Paid", steps)
    line = log.line
    for step in range(CALM - 10, len(steps)):
        look(line._replace(log_time=T0 + step * STEP))
    look(line)
    (finding,) = Finding.objects.all()
    assert finding.end == pytest.approx(T0 + (CALM + ODD) * STEP, abs=4 * STEP)
    assert look(line) == 0
    step_by_step = finding.start, finding.position, finding.end
    Finding.objects.all().delete()
    Looked.objects.all().delete()
    look(line)
    (again,) = Finding.objects.all()
    assert (again.start, again.position, again.end) == step_by_step


def test_findings_are_those_of_the_moment(log: Any) -> None:
    story(log, "Paid", [*arrivals(13, CALM), *arrivals(40, ODD), *arrivals(13, 30, seed=2)])
    look(log.line)
    (finding,) = Finding.objects.all()
    assert finding.end is not None
    line = log.line
    assert findings(line, at=finding.noticed - 1) == []
    assert findings(line, at=finding.noticed, open_only=True) == [finding]
    assert findings(line, at=finding.end, open_only=True) == []
    assert findings(line, at=finding.end) == [finding]
    assert findings(line, at=finding.end, after=finding.start) == []


def test_muting_is_for_a_while_and_in_the_trail(log: Any) -> None:
    story(log, "Paid", [*arrivals(13, CALM), *arrivals(40, ODD)])
    look(log.line)
    (finding,) = Finding.objects.all()
    mute(log.line, finding.pk, by=CONSOLE)
    now = T0 + 10**12
    assert findings(log.line, at=now, muted=False) == []
    assert findings(log.line, at=now) == [finding]
    assert Trail.objects.latest("pk").what == "muted finding"
    with pytest.raises(NotVisible):
        mute(log.line._replace(segments=()), finding.pk, by=CONSOLE)


def test_an_empty_log(log: Any) -> None:
    assert look(log.line) == 0
