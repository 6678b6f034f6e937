"""The reader: rebuilt equals incremental, in whatever pages and however often."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope
from apps.eventlog.places import Line
from apps.eventlog.queries import log, outlines
from apps.traces.commands.follow import catch_up, checkpoint, feed, rebuild
from apps.traces.models import Figure, Link, Subscriber, Trace
from tests.factories import NOON, delivery, envelope

pytestmark = pytest.mark.django_db


def history(random: Random, size: int) -> list[Envelope]:
    """Return events and deliveries of a few traces: late causes, lost ones, circles, no ids."""
    made: list[Envelope] = []
    for n in range(size):
        near = random.choice([random.randrange(size), max(0, n - 2)])
        cause = random.choice(["", f"e{near}", f"e{near}", "never"])
        correlation = random.choice(["", "a", "b", "c"])
        spanned = {"kind": "span", "data": random.choice([b"{}", b'{"joined":"g"}'])}
        at = NOON + n * 1000 + random.randrange(-3000, 3000)
        if random.random() < 0.4 and cause:
            made.append(delivery(
                random.choice(["x", "y"]), random.choice(["handled", "failed", "received"]),
                causation=cause, id=f"d{n}", time=at,
            ))  # fmt: skip
        else:
            made.append(envelope(
                id=f"e{n}", causation=cause, correlation=correlation, time=at,
                type=random.choice(["A", "B", "C"]), source=random.choice(["/x", "/y"]),
                **(spanned if random.random() < 0.2 else {}),
            ))  # fmt: skip
    return made


def derived(line: Line) -> Any:
    traces = Trace.objects.filter(timeline=line.timeline)
    figures = Figure.objects.filter(timeline=line.timeline)
    subscribers = Subscriber.objects.filter(timeline=line.timeline)
    return (
        sorted(
            (t.first, t.correlation, t.root, t.last, t.kind, t.variant, t.flags, t.duration,
             t.events, bytes(t.figures)) for t in traces
        ),
        sorted(figures.values_list("digest", "kind", "key", "count")),
        sorted(subscribers.values_list("name", "first", "last")),
        sorted(Link.objects.values_list("timeline", "digest", "position")),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_rebuilt_equals_incremental(seed: int) -> None:
    random = Random(seed)
    line = create_system("shop")
    envelopes = history(random, 60)
    while envelopes:
        cut = random.randrange(1, 9)
        append(line.timeline, envelopes[:cut])
        del envelopes[:cut]
        if random.random() < 0.7:
            catch_up(log.line("shop"), page=random.randrange(1, 12))
    line = log.line("shop")
    catch_up(line, page=3)
    grown = derived(line)
    assert grown[0], "no traces, nothing was tested"

    rebuild(line)

    assert derived(line) == grown


def test_a_page_fed_twice_counts_once() -> None:
    line = create_system("shop")
    append(line.timeline, history(Random(1), 40))
    line = log.line("shop")
    assert feed(line, after=0, upto=20)
    once = derived(line)

    assert not feed(line, after=0, upto=20)
    assert derived(line) == once
    assert checkpoint(line) == 20


def test_an_effect_that_came_first_joins_the_trace_of_its_cause() -> None:
    line = create_system("shop")
    append(line.timeline, [envelope(id="effect", causation="cause"), envelope(causation="effect")])
    catch_up(log.line("shop"))
    assert Trace.objects.get().root == 1

    append(line.timeline, [envelope(id="cause")])
    catch_up(log.line("shop"))

    trace = Trace.objects.get()
    assert (trace.root, trace.first, trace.last, trace.events) == (3, 1, 3, 3)


def test_a_budget_of_nothing_reads_nothing() -> None:
    line = create_system("shop")
    append(line.timeline, [envelope(correlation="a")])
    assert catch_up(log.line("shop"), budget=0) == 0
    assert not Trace.objects.exists()


@pytest.mark.parametrize("seed", range(5))
def test_closures_read_together_are_those_read_one_by_one(seed: int) -> None:
    line = create_system("shop")
    append(line.timeline, history(Random(seed), 60))
    line = log.line("shop")
    for upto in (10, 37, 60):
        roots = range(1, upto + 1)
        together = outlines.closures(line, roots, upto=upto)
        assert together == {root: outlines.closure(line, root, upto=upto) for root in roots}
