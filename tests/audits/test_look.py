"""Looking at a log: what is found, since when, once, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from apps.access.actor import CONSOLE
from apps.access.errors import NotVisible
from apps.access.models import Trail
from apps.audits.commands.look import Judged, One, State, look
from apps.audits.commands.mute import mute
from apps.audits.models import Finding, Looked
from apps.audits.queries.counts import Subject
from apps.audits.queries.findings import findings
from apps.audits.unusual import STEP_S
from apps.eventlog.envelope import Envelope, isoformat
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


def told(log: Any, takes: list[float], lag: list[int], *, each: int = 5) -> None:
    """Append `each` events a step and that `email` took so many seconds for them; and a lag."""
    for step, (take, behind) in enumerate(zip(takes, lag, strict=True)):
        at = T0 + step * STEP
        events = [envelope(type="Paid", time=at + n * STEP // each) for n in range(each)]
        now = T0 + 10**12
        positions = log.append(*events, now=now)
        answers = []
        for n, position in enumerate(positions):
            start = at + n * 1000
            answers.append(
                envelope(
                    kind="delivery", type="handled", source="/email", cause=position,
                    time=at + STEP - 1, data=_times(start, take),
                )
            )  # fmt: skip
        answers.append(
            envelope(kind="progress", type="progress", source="/group", channel="orders",
                     time=at + STEP - 1, data={"lag": behind})
        )  # fmt: skip
        log.append(*answers, now=now)


def _times(start: int, take: float) -> dict[str, str]:
    return {"started_at": isoformat(start), "finished_at": isoformat(start + round(take * 10**6))}


def test_handling_that_takes_longer_counts(log: Any) -> None:
    steps = CALM + ODD
    takes = [0.1 + n % 5 / 100 for n in range(CALM)] + [1.0] * ODD
    told(log, takes, [0] * steps)
    look(log.line)
    finding = Finding.objects.get(code="latency")
    assert (finding.subject, finding.end) == ("email", None)
    assert finding.start == pytest.approx(T0 + CALM * STEP, abs=STEP)
    assert finding.low < 120_000 < finding.high < finding.rate == pytest.approx(10**6, rel=0.05)


def test_lag_a_bus_tells_of_counts(log: Any) -> None:
    steps = CALM + ODD
    told(log, [0.1] * steps, [n % 4 for n in range(CALM)] + [1204] * ODD)
    look(log.line)
    assert found() == [("lag", "group on orders")]
    (finding,) = Finding.objects.all()
    assert finding.start == pytest.approx(T0 + CALM * STEP, abs=STEP)
    assert (finding.low, round(finding.rate)) == (0, 1204)


def test_answers_that_come_late_count(log: Any) -> None:
    batch: list[Envelope] = []
    for step in range(CALM + ODD):
        late = 1 if step < CALM else 4  # s, of events every two seconds
        for n in range(5):
            at = T0 + step * STEP + n * 2 * 10**6
            batch.append(envelope(type="Paid", time=at, id=f"e{step}-{n}"))
            batch.append(
                envelope(kind="delivery", type="handled", source="/email", causation=f"e{step}-{n}",
                         time=at + late * 10**6)
            )  # fmt: skip
    batch.sort(key=lambda e: e.time or 0)
    log.append(*batch, now=T0 + 10**12)
    look(log.line)
    assert ("wait", "email") in found()


def test_a_subscriber_that_stops_answering_counts_unless_its_events_stop(log: Any) -> None:
    for name, stops in (("Paid", False), ("Sent", True)):
        batch: list[Envelope] = []
        begun = 0 if name == "Paid" else 10**11
        for step in range(CALM + ODD):
            at = T0 + begun + step * STEP
            batch += [envelope(type="Pulse", time=at), envelope(type="Pulse", time=at + STEP - 1)]
            goes_on = step < CALM
            if goes_on or not stops:
                batch += [envelope(type=name, time=at + n * 10**6) for n in range(8)]
            if goes_on:
                batch += [
                    envelope(kind="delivery", type="handled", source=f"/{name}-er",
                             time=at + n * 10**6) for n in range(8)
                ]  # fmt: skip
        batch.sort(key=lambda e: e.time or 0)
        log.append(*batch, now=T0 + 10**12)
    look(log.line)
    while look(log.line):
        pass
    assert ("stalled", "Paid-er") in found()
    assert ("silence", "Sent") in found()
    assert ("stalled", "Sent-er") not in found()


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


def test_it_begins_again_at_the_same_step(log: Any) -> None:
    story(log, "Paid", [*arrivals(13, CALM), *arrivals(40, ODD), *[13] * 30])
    line = log.line
    look(line)
    (finding,) = Finding.objects.all()
    ended = finding.end
    assert ended is not None
    state = State(line)
    key, step = ("rate", "Paid"), ended // STEP + 20
    again = Judged("high", 4.0, 0.7, 1.9, lambda: step + 1 - finding.start // STEP)
    for n in range(2):
        state.see(One(Subject(*key), step + n, again), fresh=True)
    (reopened,) = state.changed.values()
    assert (reopened.pk, reopened.end, reopened.rate) == (finding.pk, None, 4.0)


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
