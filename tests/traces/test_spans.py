"""Spans of several traces become one trace: event, all its subscribers, and what they caused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest.otlp import spans, wire
from apps.traces.commands.follow import catch_up
from apps.traces.outline_text import lines_of
from apps.traces.queries import lists, traces
from tests.factories import envelope
from tests.ingest.otlp.making import as_json, context, request, span

pytestmark = pytest.mark.django_db

ORDERS: dict[str, Any] = {"messaging__system": "kafka", "messaging__destination__name": "orders"}
PAID: dict[str, Any] = {"messaging__system": "kafka", "messaging__destination__name": "paid"}
SHOP = request(
    ("web", [span(1, 1, "server", "POST /orders", took=9),
             span(1, 2, "producer", parent=1, at=1, **ORDERS)]),
    ("bank", [span(2, 3, "consumer", links=[(1, 2)], at=10, took=50, **ORDERS),
              span(2, 4, "client", "SELECT card", parent=3, at=12),
              span(2, 5, "internal", "charge", parent=3, at=20, took=30),
              span(2, 6, "producer", parent=5, at=40, **PAID)]),
    ("stock", [span(3, 7, "consumer", links=[(1, 2)], at=11, error="sold out", **ORDERS)]),
    ("depot", [span(2, 8, "consumer", parent=6, at=60, **PAID)]),
    ("mail", [span(4, 9, "consumer", links=[(2, 6)], at=70, **PAID)]),
)  # fmt: skip


def records(made: dict[str, Any]) -> list[Envelope]:
    found, problems = spans.records(wire.spans(as_json(made), wire.JSON), largest=1 << 20)
    assert problems == []
    return found


def told(line: Line, which: str) -> dict[str, Any]:
    view = traces.find(line, which, upto=line.head)
    assert view is not None
    tree = view.tree
    return {
        "edges": {(tree.events[a].type, tree.events[b].type) for a, b in tree.edges},
        "deliveries": {
            (tree.events[p].type, d.subscriber, d.outcome, d.evidence, d.error)
            for p, ds in view.delivered.items() for d in ds
        },
        "spans": {(tree.events[p].type, s.type) for p, ss in tree.spans.items() for s in ss},
        "around": {s.type for s in tree.around},
        "problems": {p.code for p in view.problems},
    }  # fmt: skip


WHOLE = {
    "edges": {("orders", "paid")},
    "deliveries": {
        ("orders", "bank", "handled", "span", ""),
        ("orders", "stock", "failed", "span", "sold out"),
        ("paid", "depot", "handled", "span", ""), ("paid", "mail", "handled", "span", ""),
    },
    "spans": {("orders", "SELECT card"), ("orders", "charge")},
    "around": {"POST /orders"},
    "problems": {"failed"},
}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_one_event_with_all_its_consumers_whatever_arrives_first(seed: int) -> None:
    random, made = Random(seed), records(SHOP)
    random.shuffle(made)
    line = create_system("shop")
    while made:
        cut = random.randrange(1, 4)
        append(line.timeline, made[:cut])
        del made[:cut]
        catch_up(log.line("shop"), page=random.randrange(1, 4))
    line = log.line("shop")

    view = traces.find(line, f"{1:032x}", upto=line.head)
    assert view is not None
    text = "\n".join(lines_of(view.tree, view.delivered, view.steps, view.problems))
    assert view.duration == 74_000  # until mail has handled it
    assert "  · bank SELECT card 5\u00a0ms" in text
    assert "  → stock failed (span): sold out" in text
    for which in (*(f"{n:032x}" for n in (1, 2, 3, 4)), context(1, 2), context(4, 9)):
        assert told(line, which) == WHOLE
    (listed,) = lists.traces(line, at=line.head).traces
    assert (listed.type, listed.events, sorted(listed.services)) == (
        "orders", 2, ["bank", "depot", "mail", "stock", "web"],
    )  # fmt: skip


def test_a_batch_has_all_its_messages_as_causes() -> None:
    line = create_system("shop")
    append(line.timeline, records(request(
        ("web", [span(1, 1, "producer", at=0, **ORDERS), span(2, 2, "producer", at=1, **PAID)]),
        ("sum", [span(3, 3, "consumer", links=[(1, 1), (2, 2)], at=5, **ORDERS),
                 span(3, 4, "producer", parent=3, at=7, messaging__destination="sums")]),
    )))  # fmt: skip
    line = log.line("shop")
    catch_up(line)
    for trace in (1, 2, 3):  # from either message, and from what came of them
        found = told(line, f"{trace:032x}")
        assert found["edges"] == {("orders", "sums"), ("paid", "sums")}
        assert {d[:3] for d in found["deliveries"]} == {
            ("orders", "sum", "handled"), ("paid", "sum", "handled")
        }  # fmt: skip


def test_links_of_a_producer_are_further_causes() -> None:
    line = create_system("shop")
    append(line.timeline, records(request(("web", [
        span(1, 1, "producer", at=0, **ORDERS), span(2, 2, "producer", at=1, **PAID),
        span(3, 4, "producer", at=7, links=[(1, 1), (2, 2)], messaging__destination="sums"),
    ]))))  # fmt: skip
    line = log.line("shop")
    catch_up(line)
    for trace in (1, 2, 3):
        assert told(line, f"{trace:032x}")["edges"] == {("orders", "sums"), ("paid", "sums")}


def test_receipt_handling_and_acknowledgement_are_one_delivery() -> None:
    line = create_system("shop")
    append(line.timeline, records(request(
        ("web", [span(1, 1, "producer", **ORDERS)]),
        ("bank", [
            span(2, 2, "client", links=[(1, 1)], at=2, messaging__operation__type="receive"),
            span(2, 3, "consumer", parent=2, links=[(1, 1)], at=10,
                 messaging__operation__type="process"),
            span(2, 4, "client", links=[(1, 1)], at=20, messaging__operation__type="settle"),
        ]),
    )))  # fmt: skip
    line = log.line("shop")
    assert told(line, "1")["deliveries"] == {("orders", "bank", "handled", "acked", "")}
    (known,) = traces.deliveries_of(line, 1, upto=line.head) or []
    assert (known.outcome, known.took) == ("handled", 5000)


def test_two_groups_of_one_service_handle_once_each() -> None:
    line = create_system("shop")
    append(line.timeline, records(request(
        ("web", [span(1, 1, "producer", **ORDERS)]),
        ("bank", [span(2 + n, 3, "consumer", links=[(1, 1)], at=2,
                       messaging__consumer__group__name=f"g{n}") for n in range(2)]),
    )))  # fmt: skip
    assert told(log.line("shop"), "1")["problems"] == set()


def test_a_parent_nobody_sampled_is_no_lost_cause() -> None:
    line = create_system("shop")
    append(line.timeline, records(request(("web", [span(1, 2, "producer", parent=7, **ORDERS)]))))
    assert told(log.line("shop"), "1")["problems"] == set()


def test_spans_join_the_event_they_name() -> None:
    line = create_system("shop")
    append(line.timeline, [envelope(id="e1", source="/web", correlation="c", type="Ordered")])
    append(line.timeline, records(request(("bank", [
        span(2, 3, "consumer", cloudevents__event_id="e1", cloudevents__event_source="/web"),
        span(2, 6, "producer", parent=3, at=2, **PAID),
    ]))))  # fmt: skip
    found = told(log.line("shop"), "c")
    assert found["edges"] == {("Ordered", "paid")}
    assert ("Ordered", "bank", "handled", "span", "") in found["deliveries"]
