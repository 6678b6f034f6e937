"""Findings in words."""

from __future__ import annotations

import pytest

from apps.audits.models import Finding
from apps.eventlog.query import parse
from apps.pages.alarms import alarm

FIGURES = {
    "rate": ((12.7, 3.6, 4.6), "Paid rate 3.1× its usual", "13/s since {}; usually 3.6–4.6/s."),
    "silence": ((0.0, 3.6, 4.6), "Paid has stopped", "0/s since {}; usually 3.6–4.6/s."),
    "failures": ((2.0, 0.0, 0.5), "Paid fails more than usual",
                 "2.0/s since {}; usually 0–0.50/s."),
    "latency": (
        (900e3, 100e3, 200e3), "Paid takes 6.0× its usual time",
        "Typically 900 ms since {}; usually 100 ms–200 ms.",
    ),
    "wait": (
        (9e6, 1e6, 2e6), "Paid answers later than usual",
        "After 9.00 s since {}; usually 1.00 s–2.00 s.",
    ),
    "lag": (
        (1204.2, 0.0, 8.0), "Paid is behind", "Behind by 1 204 since {}; usually 0–8.",
    ),
    "stalled": ((0.0, 1.0, 2.0), "Paid has stopped answering", "0/s since {}; usually 1.0–2.0/s."),
}  # fmt: skip


@pytest.mark.parametrize("code", FIGURES)
def test_it_works(code: str) -> None:
    (rate, low, high), title, text = FIGURES[code]
    said = alarm(Finding(code=code, subject="Paid", rate=rate, low=low, high=high))
    assert (said.title, said.text.replace("\u00a0", " ")) == (title, text)
    parse(said.query)


def test_few_answers_are_not_none() -> None:
    said = alarm(Finding(code="stalled", subject="Paid", rate=0.1, low=1, high=2))
    assert said.title == "Paid answers few"


def test_a_hostile_name_is_only_a_name() -> None:
    said = alarm(Finding(code="lag", subject='a" OR \u202e on b', rate=1, low=0, high=1))
    assert "\u202e" not in said.title
    assert [term.field.name for term in parse(said.query).terms] == ["kind", "source"]


def test_what_hardly_ever_comes_usually_comes_from_nought() -> None:
    said = alarm(Finding(code="rate", subject="Paid", rate=0.2, low=0.0, high=0.4 / 60))
    assert said.text.replace("\u00a0", " ") == "0.20/s since {}; usually 0–0.4/min."
