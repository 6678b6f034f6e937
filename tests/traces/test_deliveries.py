"""Reports, inferences, and what nobody knows."""

from __future__ import annotations

import pytest

from apps.traces.deliveries import inferred, reported, unknown
from tests.factories import NOON
from tests.traces.test_problems import event, told


def test_received_and_handled_are_one_delivery() -> None:
    found = reported(1, [told(2, 1, "a", "received", 10, 10), told(3, 1, "a", "handled", 10, 90)])
    assert [(d.outcome, d.position, d.took) for d in found] == [("handled", 3, 80_000)]


def test_a_failure_and_its_dead_letter_are_one_delivery() -> None:
    found = reported(1, [
        told(2, 1, "a", "failed", 10, 20, 3, "no"), told(3, 1, "a", "dead_lettered", 10, 21, 3),
    ])  # fmt: skip
    assert [(d.outcome, d.error) for d in found] == [("dead_lettered", "no")]


def test_handled_twice_is_two_deliveries_whatever_the_attempt_says() -> None:
    found = reported(1, [told(2, 1, "a", "handled", 10, 20), told(3, 1, "/a", "handled", 30, 40)])
    assert len(found) == 2


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
def test_what_the_bus_saw_and_what_was_reported_are_one_attempt(order: list[int]) -> None:
    own, again = told(2, 1, "a", "handled", 10, 20), told(4, 1, "a", "handled", 30, 40)
    bus = told(3, 1, "a", "handled", 10, 21)
    assert bus.data is not None
    bus = bus._replace(data=b'{"evidence":"acked",' + bus.data[1:])
    each = [own, bus, again]
    found = reported(1, [each[n]._replace(position=2 + at) for at, n in enumerate(order)])
    assert sorted((d.outcome, d.evidence) for d in found) == [
        ("handled", "acked"), ("handled", "reported")
    ]  # fmt: skip


def test_a_rejection_by_the_bus_outweighs_the_subscribers_word() -> None:
    own, bus = told(2, 1, "a", "handled", 10, 20), told(3, 1, "a", "dead_lettered", 10, 21)
    assert bus.data is not None
    found = reported(1, [own, bus._replace(data=b'{"evidence":"acked",' + bus.data[1:])])
    assert [(d.outcome, d.evidence) for d in found] == [("dead_lettered", "acked")]


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"\xff", b'{"attempt":"x"}', b"{" * 9999])
def test_reports_that_make_no_sense_still_count(data: bytes) -> None:
    found = reported(1, [told(2, 1, "a", "handled", 10, 20)._replace(data=data)])
    assert [(d.outcome, d.attempt, d.started) for d in found] == [("handled", 1, None)]


def test_who_reacts_has_received() -> None:
    cause = event(1, "A", "x", 0)
    effects = [event(2, "B", "y", 10, 1), event(3, "C", "y", 20, 1), event(4, "D", "z", 5, 1)]
    known = reported(1, [told(5, 1, "z", "failed", 1, 2)])
    found = inferred(cause, effects, known)
    assert [(d.subscriber, d.evidence, d.earliest, d.latest) for d in found] == [
        ("y", "inferred", NOON, NOON + 10_000)
    ]


def test_unknown_is_a_value() -> None:
    cause = event(1, "A", "x", 0)
    known = reported(1, [told(5, 1, "z", "failed", 1, 2)])
    found = unknown(cause, ["/z", "w"], known)
    assert [(d.subscriber, d.outcome, d.latest) for d in found] == [("w", "unknown", None)]
