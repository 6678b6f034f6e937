"""The shop's own past: stock-SKU7 at −1, who made it so, found by every way there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.eventlog.commands.append import append
from apps.eventlog.queries import log as reading
from apps.pages.queries import moments
from apps.pages.queries.dock import dock
from apps.projections.commands.watches import add_watch
from apps.projections.queries.watches import seen
from tests.conftest import Log
from tests.projections.test_api import Api
from tests.projections.test_commands import run
from tests.sandbox.history import NOW, envelopes, story_log

pytestmark = pytest.mark.django_db

SKU7 = "stock-SKU7"
RULE = f"{SKU7}.available >= 0"


def oversold() -> int:
    """Return where SKU7 first was below zero, read off the shop's events alone."""
    return next(
        e.position for e in story_log()
        if e.stream == SKU7 and e.kind == "event"
        and json.loads(e.data or b"{}").get("available", 0) < 0
    )  # fmt: skip


def test_who_made_sku7_less_than_none(log: Log) -> None:
    append(log.line, envelopes(story_log()), now=NOW)
    at = oversold()
    scrubbed_to(Api(log), at)
    found_every_way(Api(log), log.line.slug, at)
    marked_on_the_bar(log, at)


def scrubbed_to(api: Api, at: int) -> None:
    before, then = (api.get(f"state/{SKU7}", at=p, blame=1) for p in (at - 1, at))
    assert (before["state"]["available"], then["state"]["available"]) == (0, -1)
    assert then["blame"]["/available"] == at
    (step,) = [c for c in api.get(f"diff/{SKU7}", from_=at - 1, to=at)["changes"]
               if c["path"] == "/available"]  # fmt: skip
    assert (step["before"], step["after"]) == (0, -1)
    history = api.get(f"history/{SKU7}", field="/available")["history"]
    assert next(h["position"] for h in history if h["value"] < 0) == at
    event = api.get(f"events/{at}")
    assert (event["type"], event["stream"]) == ("StockReserved", SKU7)


def found_every_way(api: Api, slug: str, at: int) -> None:
    asked: dict[str, Any] = {"stream": SKU7, "expr": "state.available < 0"}
    for mode in ("scan", "bisect"):
        assert api.find(mode=mode, **asked)["position"] == at
    assert api.find(stream="stock-*", expr="state.available < 0")["position"] == at
    assert run("find", slug, SKU7, "state.available < 0") == f"{at}\n"
    assert run("find", slug, SKU7, "state.available < 0", "--bisect") == f"{at}\n"


def marked_on_the_bar(log: Log, at: int) -> None:
    line = reading.line(log.line.slug)
    rule = add_watch(line, RULE, owner=1, must_hold=True)
    assert [seen(line, rule, at=p, start=1, end=line.head).broken for p in (at - 1, at)] == [
        False, True,
    ]  # fmt: skip
    shown = dock(line, moments.at(line, line.head), zoom="all", user_id=1)
    assert shown is not None
    marks = [m for c in shown.clusters for m in c.marks if m.text == f"Rule broken: {RULE}"]
    assert [m.position for m in marks] == [at]
