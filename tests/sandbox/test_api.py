"""Sandboxes in the JSON API, and `manage.py replay`, on a system nobody's code belongs to."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.sandbox.commands import jobs
from apps.sandbox.models import Run
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope

pytestmark = pytest.mark.django_db


class Caller:
    """A program with a key."""

    def __init__(self, log: Log, *scopes: str) -> None:
        self.slug = log.line.slug
        self.key = create_key(log.line.system, scopes=scopes, name="k", by=CONSOLE).secret

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = Client().generic(
            method, f"/api/v1/{self.slug}/sandboxes{path}",
            b"" if body is None else json.dumps(body).encode(), "application/json",
            headers={"Authorization": f"Bearer {self.key}"},
        )  # fmt: skip
        return answer.status_code, json.loads(answer.content)


@pytest.fixture
def orders(log: Log) -> Log:
    """Three orders, each counted once in a stream of totals, and told to the mailer."""
    for n in range(3):
        at = NOON + n * 1_000_000
        placed = log.add(type="Placed", source="/web", stream=f"order-{n}", time=at,
                         data={"n": n}, correlation=f"c-{n}")  # fmt: skip
        log.append(
            envelope(type="Counted", source="/counts", stream="totals", time=at, cause=placed,
                     data={"orders": n + 1}, correlation=f"c-{n}"),
            delivery("mailer", cause=placed, time=at, data={"attempt": 1}), now=at,
        )  # fmt: skip
    return log


def finished(call: Caller, path: str) -> dict[str, Any]:
    """Do the run that is queued and return its comparison."""
    status, run = call("POST", f"{path}/runs", {})
    assert (status, run["status"]) == (202, "queued")
    claimed = jobs.claim()
    assert claimed is not None
    jobs.work(claimed)
    assert call("GET", f"{path}/runs/{run['id']}")[1]["status"] == "finished"
    found: dict[str, Any] = call("GET", f"{path}/runs/{run['id']}/comparison")[1]
    return found


def test_the_way_of_the_contract(orders: Log) -> None:
    call = Caller(orders, "write")
    status, made = call(
        "POST", "", {"name": "n", "base": 3, "edits": [{"op": "skip", "position": 4}]}
    )
    assert (status, sorted(made)) == (201, ["id", "timeline"])
    found = finished(call, f"/{made['id']}")

    assert {n: found[n] for n in ("same", "changed", "missing", "new", "unexpected")} == {
        "same": 3, "changed": 0, "missing": 1, "new": 0, "unexpected": 0,
    }  # fmt: skip
    (row,) = found["events"]
    assert (row["verdict"], row["original"]["position"], row["sandbox"]) == ("missing", 4, None)
    assert found["first_divergence"] == row
    assert [s["stream"] for s in found["states"]] == ["order-1"]
    assert found["verdict"]

    events = Client().get(
        f"/api/v1/{orders.line.slug}/events?timeline={made['timeline']}&order=asc",
        headers={"Authorization": f"Bearer {call.key}"},
    ).json()["events"]  # fmt: skip
    kept = [e["type"] for e in events if e["position"] > 3 and e["kind"] == "event"]
    assert kept == ["Counted", "Placed", "Counted"]
    assert orders.line.head == 9  # nothing of it reached the system's own timeline


def test_a_changed_event_says_what_changed(orders: Log) -> None:
    call = Caller(orders, "write")
    edits = [{"op": "change", "position": 5, "data": {"orders": 20}}]
    made = call("POST", "", {"base": 0, "edits": edits})[1]
    found = finished(call, f"/{made['id']}")
    (row,) = found["events"]
    assert row["changes"] == [{"op": "replace", "path": "/orders", "before": 2, "after": 20}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "base"),
        ({"base": 99}, "base"),
        ({"base": 3, "until": 2}, "until"),
        ({"base": 3, "edits": [{"op": "skip", "position": 2}]}, "fork point"),
        ({"base": 3, "edits": [{"op": "skip", "position": 50}]}, "fork point"),
        ({"base": 3, "edits": [{"op": "skip"}]}, "needs position"),
        ({"base": 3, "edits": [{"op": "skip", "position": 4}] * 2}, "contradicts"),
        ({"base": 3, "edits": [{"op": "skip", "position": 4},
          {"op": "delay", "position": 4, "ms": 5}]}, "contradicts"),
        ({"base": 3, "edits": [{"op": "change", "position": 6, "data": 1}]}, "is a delivery"),
        ({"base": 3, "edits": [{"op": "delay", "position": 4, "ms": -5}]}, "whole number"),
        ({"base": 3, "edits": [{"op": "insert", "after": 4, "event": {"type": ""}}]}, "type"),
        ({"base": 3, "edits": "all"}, "list"),
        ({"base": 3, "code": {"payments": {"module": "os; rm"}}}, "expected"),
        ({"base": 3, "colour": 1}, "colour"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_422(body: Any, words: str, orders: Log) -> None:
    status, answer = Caller(orders, "write")("POST", "", body)
    assert status == 422
    assert words in answer["detail"]


def test_who_may_do_what(orders: Log) -> None:
    reader, writer = Caller(orders, "read"), Caller(orders, "write")
    assert reader("POST", "", {"base": 0})[0] == 403
    made = writer("POST", "", {"base": 0})[1]
    assert reader("GET", f"/{made['id']}")[0] == 200
    assert reader("POST", f"/{made['id']}/runs", {})[0] == 403
    assert reader("GET", "/12345")[0] == 404
    assert writer("GET", f"/{made['id']}/runs/7")[0] == 404


def test_a_comparison_before_the_end_is_refused(orders: Log) -> None:
    call = Caller(orders, "write")
    made = call("POST", "", {"base": 0})[1]
    call("POST", f"/{made['id']}/runs", {})
    status, answer = call("GET", f"/{made['id']}/runs/1/comparison")
    assert (status, answer["code"]) == (422, "not_now")


def replay(log: Log, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("replay", log.line.slug, *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_replay_exits_with_what_came_of_it(orders: Log, tmp_path: Path) -> None:
    edits = tmp_path / "edits.json"
    edits.write_text('[{"op": "skip", "position": 4}]')

    assert replay(orders, "--base", "3") == (0, "")
    code, text = replay(orders, "--base", "3", "--edits", str(edits))
    assert (code, text.split()[:4]) == (1, ["−", "#4", "Placed", "order-1"])
    assert replay(orders, "--base", "5", "--edits", str(edits))[0] == 2
    assert replay(orders, "--base", "3", "--edits", "nowhere.json")[0] == 2


def test_what_was_kept_as_a_test_is_held_to_it(orders: Log, tmp_path: Path) -> None:
    from apps.sandbox.commands.control import keep

    edits = tmp_path / "edits.json"
    edits.write_text('[{"op": "skip", "position": 4}]')
    replay(orders, "--base", "3", "--edits", str(edits))
    keep(Run.objects.latest("pk"), "one order less")

    assert replay(orders, "--test", "one order less")[0] == 0
    Run.objects.filter(kept_as="one order less").update(edits=[])
    assert replay(orders, "--test", "one order less")[0] == 1
    assert replay(orders, "--test", "another")[0] == 2


def test_a_run_is_exported(orders: Log) -> None:
    call = Caller(orders, "write")
    made = call("POST", "", {"base": 0, "edits": [{"op": "skip", "position": 4}]})[1]
    finished(call, f"/{made['id']}")
    address = f"/api/v1/{call.slug}/sandboxes/{made['id']}/runs/1/export?redact=mask+data.n"
    answer = Client().get(address, headers={"Authorization": f"Bearer {call.key}"})
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert b'"n":"***"' in archive.read("run/events.ndjson")
    assert call("GET", f"/{made['id']}/runs/1/export?redact=x")[0] == 422


def test_it_is_shrunk(orders: Log) -> None:
    call = Caller(orders, "write")
    edits = [{"op": "skip", "position": 4}, {"op": "skip", "position": 7}]
    made = call("POST", "", {"base": 0, "edits": edits, "options": {"fails": "differs"}})[1]
    call("POST", f"/{made['id']}/runs", {"check": "shrink"})
    claimed = jobs.claim()
    assert claimed is not None
    jobs.work(claimed)
    found = call("GET", f"/{made['id']}/runs/1/comparison")[1]["shrunk"]
    assert len(found["edits"]) == len(found["inputs"]) == 1
    assert call("POST", "", {"base": 0, "options": {"fails": "x"}})[0] == 422
