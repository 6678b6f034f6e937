from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def system(log: Log) -> str:
    for n in (2, 1, 0, -1):
        log.append(envelope(stream="stock-SKU7", data={"available": n, "sku": "SKU7"}))
    return log.line.slug


def run(*arguments: str, code: int = 0) -> str:
    out = StringIO()
    if code:
        with pytest.raises(SystemExit) as caught:
            call_command(*arguments, stdout=out, stderr=StringIO())
        assert caught.value.code == code
    else:
        call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())
    assert caught.value.returncode == 2
    return str(caught.value)


def test_state(system: str) -> None:
    assert json.loads(run("state", system, "stock-SKU7")) == {"available": -1, "sku": "SKU7"}
    assert json.loads(run("state", system, "stock-SKU7", "--at", "#2"))["available"] == 1
    assert "#4\t/available" in run("state", system, "stock-SKU7", "--blame")
    answer = json.loads(run("state", system, "stock-SKU7", "--json", "--blame"))
    assert answer["blame"] == {"/available": 4, "/sku": 1}
    assert answer["cost"].keys() == {"snapshot", "folded", "ms"}


def test_diff(system: str) -> None:
    answer = json.loads(run("diff", system, "stock-SKU7", "3", "4", "--json", code=1))
    step: dict[str, Any] = {"op": "replace", "path": "/available", "before": 0, "after": -1}
    assert answer == {"changes": [step]}
    assert run("diff", system, "stock-SKU7", "3", "4", code=1) == "~ /available  0 -> -1\n"
    assert run("diff", system, "stock-SKU7", "3", "3") == ""


@pytest.mark.parametrize("more", [[], ["--bisect"]])
def test_find(system: str, more: list[str]) -> None:
    assert run("find", system, "stock-SKU7", "stock-SKU7.available < 0", *more) == "4\n"
    answer = json.loads(run("find", system, "stock-SKU7", "state.available > 99", "--json", *more))
    assert answer["position"] is None


def test_what_cannot_be_done(system: str) -> None:
    assert "no stream 'nothing'" in refused("state", system, "nothing")
    assert "'absent'" in refused("state", "absent", "stock-SKU7")
    assert "neither a position" in refused("state", system, "stock-SKU7", "--at", "noon")
    assert "column 18" in refused("find", system, "stock-SKU7", "state.available <")
    assert "divides by zero" in refused("find", system, "stock-SKU7", "1 / 0 > 1")
    assert "No projection" in refused("state", system, "stock-SKU7", "--projection", "x")
