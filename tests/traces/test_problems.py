"""What is wrong with a trace, in words, by rules that know no system in particular."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.eventlog.outline import Outline
from apps.traces import deliveries, timing
from apps.traces.problem import Problem
from apps.traces.problems import flags, problems
from apps.traces.tree import assemble
from apps.traces.typical import Typical, figures, typical
from tests.factories import NOON

MS = 1000


def event(
    position: int, kind: str, by: str, at: int, cause: int | None = None, **more: Any
) -> Outline:
    return Outline(position, "event", kind, f"/{by}", NOON + at * MS, cause, **more)


def told(
    position: int, cause: int, by: str, outcome: str, start: int, end: int, attempt: int = 1,
    error: str = "",
) -> Outline:  # fmt: skip
    def iso(ms: int) -> str:
        return f"2026-05-12T12:00:{ms / 1000:06.3f}Z"

    data = {"attempt": attempt, "started_at": iso(start), "finished_at": iso(end), "error": error}
    return Outline(
        position, "delivery", outcome, by, NOON + end * MS, cause, data=json.dumps(data).encode()
    )


def judged(outlines: list[Outline], **options: Any) -> list[Problem]:
    tree = assemble(outlines)
    return problems(tree, deliveries.of_tree(tree), **options)


def said(outlines: list[Outline], **options: Any) -> list[tuple[str, str]]:
    return [(p.code, p.text.replace("\u00a0", " ")) for p in judged(outlines, **options)]


def usual(traces: list[list[Outline]]) -> Typical:
    sums: dict[Any, int] = {}
    for outlines in traces:
        tree = assemble(outlines)
        for key, count in figures(tree, deliveries.of_tree(tree)).items():
            sums[key] = sums.get(key, 0) + count
    return typical("Ordered", sums.items())


def order(gap: int = 100, *, packed: bool = True) -> list[Outline]:
    made = [
        event(1, "Ordered", "web", 0), told(2, 1, "depot", "handled", 10, gap),
    ]  # fmt: skip
    return [*made, event(3, "Packed", "depot", gap, 1)] if packed else made


HUNDRED = [order(100 + n) for n in range(100)]


def test_nothing_is_wrong_with_an_ordinary_trace() -> None:
    assert said(order(), usual=usual(HUNDRED)) == []


def test_handled_twice_says_what_it_changed_twice() -> None:
    values = {4: {"amount": 129.0, "currency": "EUR"}, 6: {"amount": 129.0, "currency": "EUR"}}
    trace = [
        event(1, "Ordered", "web", 0),
        told(2, 1, "bank", "handled", 10, 100), told(3, 1, "bank", "handled", 2830, 2900, 2),
        event(4, "CardCharged", "bank", 90, 1), event(6, "CardCharged", "bank", 2890, 1),
    ]  # fmt: skip
    assert said(trace, data=values.get) == [(
        "handled_twice",
        "bank handled Ordered twice. Redelivered after 2.82 s."
        " Charged 258.00 instead of 129.00 EUR.",
    )]  # fmt: skip
    assert judged(trace)[0].focus == 6
    assert "Published CardCharged again." in said(trace)[0][1]


def test_handled_twice_without_effect_says_so() -> None:
    trace = [*order(), told(4, 1, "depot", "handled", 500, 510, 2)]
    assert said(trace)[0][1].endswith("Nothing was published twice.")


def test_a_repeat_that_was_skipped_is_no_problem() -> None:
    assert said([*order(), told(4, 1, "depot", "skipped", 500, 510, 2)]) == []


def test_dead_letters_tell_attempts_and_the_last_answer() -> None:
    trace = [
        event(1, "Shipped", "depot", 0),
        told(2, 1, "mail", "failed", 10, 20, 1, "451 Greylisted"),
        told(3, 1, "mail", "failed", 1000, 1010, 2, "451 Greylisted"),
        told(4, 1, "mail", "dead_lettered", 3000, 3010, 3, "451 Greylisted"),
    ]
    assert said(trace) == [(
        "dead_lettered",
        "mail dead-lettered Shipped. 3 attempts in 3.00 s; last answer 451 Greylisted.",
    )]  # fmt: skip


def test_a_retry_tells_what_it_cost() -> None:
    trace = [
        event(1, "Shipped", "depot", 0), told(2, 1, "mail", "failed", 10, 20, 1, "busy"),
        told(3, 1, "mail", "handled", 1010, 1020, 2),
    ]  # fmt: skip
    assert said(trace) == [(
        "failed_then_retried",
        "mail handled Shipped after a retry. 1 attempt failed: busy. It took 1.00 s longer.",
    )]  # fmt: skip
    assert said(trace[:2]) == [
        ("failed", "mail failed on Shipped. 1 attempt failed: busy. Not handled since.")
    ]


def test_a_slow_step_is_measured_against_its_kind() -> None:
    code, text = said(order(4720), usual=usual(HUNDRED))[0]
    assert code == "slow"
    assert text.startswith("depot took 4.72 s. Ordered → Packed: p50 ")
    assert text.endswith(" over 100 traces.")


def test_nothing_is_slow_or_missing_before_enough_was_seen() -> None:
    assert said(order(4720), usual=usual(HUNDRED[:10])) == []


def test_a_missing_step_is_one_that_nearly_always_follows() -> None:
    trace = order(packed=False)
    code, text = said(trace, usual=usual(HUNDRED))[0]
    assert code == "missing_step"
    assert text.startswith("depot did not react to Ordered. Packed follows in 100 % of traces")

    seldom = [order(packed=n % 10 > 0) for n in range(100)]
    assert said(trace, usual=usual(seldom)) == []


def test_a_step_is_not_missing_while_it_may_still_come() -> None:
    trace = order(packed=False)
    assert said(trace, usual=usual(HUNDRED), now=NOON + 150 * MS) == []
    assert said(trace, usual=usual(HUNDRED), now=NOON + 500 * MS)


def test_what_happens_instead_is_not_a_missing_step() -> None:
    sold_out = [event(1, "Ordered", "web", 0), event(3, "SoldOut", "depot", 50, 1)]
    traces = [*HUNDRED, sold_out, sold_out]
    assert said(sold_out, usual=usual(traces)) == []


def test_out_of_order_is_about_one_stream() -> None:
    trace = [
        event(1, "Opened", "web", 0, stream=7, revision=0),
        event(2, "Closed", "web", 10, 1, stream=7, revision=1),
        told(3, 2, "audit", "handled", 20, 30), told(4, 1, "audit", "handled", 500, 510),
    ]  # fmt: skip
    assert said(trace) == [(
        "out_of_order",
        "audit took Closed before Opened. Opened was published first, and received 480 ms later.",
    )]  # fmt: skip
    trace[1] = trace[1]._replace(stream=8, revision=0)
    assert said(trace) == []


def test_an_effect_without_a_cause_is_told() -> None:
    trace = [event(1, "Ordered", "web", 0), event(2, "Packed", "depot", 5, lost=True)]
    assert [code for code, _ in said(trace)] == ["effect_without_cause"]


def test_the_worst_comes_first() -> None:
    trace = [
        *order(4720), told(4, 1, "depot", "handled", 5000, 5010, 2),
        told(5, 3, "mail", "dead_lettered", 5000, 5010),
    ]  # fmt: skip
    codes = [code for code, _ in said(trace, usual=usual(HUNDRED))]
    assert codes == ["handled_twice", "dead_lettered", "slow"]


def test_flags_are_what_the_trace_alone_tells() -> None:
    tree = assemble([*order(4720), told(4, 1, "depot", "handled", 5000, 5010, 2)])
    assert flags(tree, deliveries.of_tree(tree)) == 1


@pytest.mark.parametrize("value", [None, [], "x", {"amount": True}, {"amount": "1"}, {"amount": 0}])
def test_hostile_data_is_no_quantity(value: Any) -> None:
    trace = [
        *order(), told(4, 1, "depot", "handled", 500, 510, 2), event(5, "Packed", "depot", 505, 1),
    ]  # fmt: skip
    assert "Published Packed again." in said(trace, data=lambda p: value)[0][1]


def test_clocks_that_cannot_be_right_are_shifted_and_named() -> None:
    tree = assemble([event(1, "Ordered", "web", 0), event(2, "Packed", "depot", -300, 1)])
    behind = timing.skews(tree, deliveries.of_tree(tree))
    assert behind == {"depot": 300 * MS}
    assert timing.step(tree, 2, {}, behind).gap == 0


def test_the_critical_path_leads_to_what_ended_last() -> None:
    tree = assemble([
        event(1, "A", "a", 0), event(2, "B", "b", 10, 1), event(3, "C", "c", 99, 1),
        event(4, "D", "d", 50, 2),
    ])  # fmt: skip
    assert timing.critical_path(tree) == [1, 3]
