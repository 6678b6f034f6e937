"""The benchmarks run, and judge as they say; what they measure is for `make bench`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from itertools import count, islice, pairwise
from pathlib import Path

import pytest

from bench.__main__ import CASES
from bench.flows import PACE, STEPS, events
from bench.harness import (
    Bench,
    Section,
    StepFailed,
    fact,
    faster,
    figure,
    interleaved,
    limit,
    percentile,
    ratio,
)
from bench.results import keep

ROOT = Path(__file__).resolve().parent.parent


SHORT = {"histogram"}  # the others write more, or start servers and browsers


@pytest.mark.parametrize(
    "case",
    [case if case in SHORT else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_it_works(case: str, request: pytest.FixtureRequest) -> None:
    if case in {"drag", "stepping", "events_page"}:
        request.getfixturevalue("chromium")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", case],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"## {case}" in done.stdout


def test_a_case_that_is_not_there_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "fastest"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such case: fastest" in done.stderr


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises(StepFailed, match="No module named"):
        Bench(tmp_path, stack).step("no", {"EVDEBUG_DATA": str(tmp_path)})


def test_a_ratio_is_of_medians_and_shows_its_spread() -> None:
    row = ratio("rate", [10, 40, 30], [5, 10, 10], unit="events/s", at_least=3.5)
    assert (row.ours, row.baseline, row.result) == (
        "30 events/s",
        "10 events/s",
        "3.00× (2.00–4.00)",
    )
    assert (row.goal, row.met) == ("≥ 3.5×", False)
    assert ratio("rate", [30], [10], unit="", at_least=3).met
    assert not ratio("size", [7], [10], unit="", at_most=0.6).met


def test_faster_turns_the_ratio_round() -> None:
    row = faster("histogram", [2.0], [300.0], unit="ms", at_least=100)
    assert (row.ours, row.baseline, row.result, row.met) == ("2 ms", "300 ms", "150.00×", True)


def test_a_limit_is_met_up_to_its_bound() -> None:
    assert limit("p95", 20.0, unit="ms", at_most=20).met
    assert not limit("p95", 20.01, unit="ms", at_most=20).met
    assert not limit("rate", 24_999, unit="events/s", at_least=25_000).met
    assert fact("p99", 5, unit="ms").met


def test_figures_are_short() -> None:
    assert figure(71_300.4, "events/s") == "71\u202f300 events/s"
    assert figure(3.14159, "ms") == "3.14 ms"
    assert figure(300, "MiB") == "300 MiB"


def test_a_percentile_is_one_of_the_values() -> None:
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([7], 0.95) == 7


def test_rounds_are_taken_in_turns() -> None:
    turn = count(1)
    assert interleaved(2, lambda: next(turn), lambda: next(turn)) == [[1, 3], [2, 4]]


def test_results_of_other_cases_are_kept(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    keep([Section("one", "First.", [fact("a", 1, unit="")]), Section("two", "Second.")], page)
    keep([Section("one", "Again.", [fact("a", 2, unit="")])], page)

    text = page.read_text()
    assert text.count("## ") == 2
    assert text.index("Again.") < text.index("Second.")
    assert "First." not in text
    before = page.read_text()
    keep([], page)
    assert page.read_text() == before


def test_flows_are_natural_and_the_same_every_time() -> None:
    made = list(islice(events(), 30_000))
    assert made == list(islice(events(), 30_000))
    assert len({e.id for e in made}) == len(made)
    assert {(b.time or 0) - (a.time or 0) for a, b in pairwise(made)} == {PACE}
    assert 380 < sum(len(e.data) for e in made) / len(made) < 430
    orders: dict[str, list[str]] = {}
    for e in made:
        assert not e.causation or e.causation in orders[e.correlation]
        orders.setdefault(e.correlation, []).append(e.id)
    assert max(map(len, orders.values())) == len(STEPS)
