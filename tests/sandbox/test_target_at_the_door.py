"""A copy of a service that publishes at the door, as it does in production, but for the mark."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.running import Evdebug, System
from tests.sandbox.test_targets import Copy, mailed
from tests.services import wait_for

HEADER, ATTRIBUTE = "header", "attribute"


def recorded(system: System) -> None:
    """Record three orders, each delivered to the mailer, which says so."""
    for n in range(3):
        placed = {"id": f"p-{n}", "type": "Placed", "source": "/web", "stream": f"order-{n}",
                  "data": {"n": n}, "correlation": f"c-{n}"}  # fmt: skip
        told = {"id": f"r-{n}", "type": "Mailed", "source": "/mailer", "stream": f"mail-{n}",
                "data": {"to": n}, "causation": f"p-{n}", "correlation": f"c-{n}"}  # fmt: skip
        assert system.send(placed, told)[0] == 200
        report = {"event": {"id": f"p-{n}", "source": "/web"}, "subscriber": "mailer",
                  "outcome": "handled"}  # fmt: skip
        assert system.send(report, path="/v1/deliveries")[0] == 200


def publishing(system: System, how: str) -> Copy:
    """Start a mailer that takes an event, publishes what comes of it, and then says it is done."""

    def act(event: dict[str, Any]) -> int:
        made, headers = mailed(event), {"Content-Type": "application/cloudevents+json"}
        if how == HEADER:
            headers["evdebug-sandbox"] = event["evdebugsandbox"]
        else:
            made["evdebugsandbox"] = event["evdebugsandbox"]
        headers["Authorization"] = f"Bearer {system.ingest_key}"
        report = {"event": {"id": event["id"], "source": "/web"}, "subscriber": "mailer"}
        marked = headers | {"evdebug-sandbox": event["evdebugsandbox"]}
        for path, body in (("deliveries", report), ("traces", {"resourceSpans": []})):
            sent = json.dumps(body | {"outcome": "handled"} if path == "deliveries" else body)
            plain = marked | {"Content-Type": "application/json"}
            with urlopen(Request(f"{system.server.url}/v1/{path}", sent.encode(), plain)) as told:
                assert told.status == 200
        for _ in range(2):  # sent again, it is the same event
            request = Request(f"{system.server.url}/v1/events", json.dumps(made).encode(), headers)
            with urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        return 204

    return Copy(act)


def ran(system: System, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Run a sandbox to its end and return the run."""
    status, run = system.post(f"{path}/runs", body)
    assert status == 202, run
    last: dict[str, Any] = {}

    def over() -> bool:
        last.update(system.get(f"{path}/runs/{run['id']}")[1])
        return last["status"] not in ("queued", "running")

    wait_for(over, "the run's end")
    return last


@pytest.mark.slow
@pytest.mark.parametrize("how", [HEADER, ATTRIBUTE])
def test_what_it_publishes_comes_back_onto_the_fork(server: Evdebug, how: str) -> None:
    system = server.system(f"t-{uuid.uuid4().hex[:8]}")
    recorded(system)
    head = system.get("head")[1]["position"]
    copy = publishing(system, how)
    try:
        target = {"service": "mailer", "http": copy.url}
        status, made = system.post("sandboxes", {"base": 0, "target": target})
        assert status == 201, made
        path = f"sandboxes/{made['id']}"
        assert system.post(f"{path}/runs", {})[0] == 422
        assert ran(system, path, {"check": "dry"})["status"] == "finished"
        assert copy.got == []
        run = ran(system, path, {})
    finally:
        copy.close()

    assert (run["status"], run["error"]) == ("finished", "")
    found = system.get(f"{path}/runs/{run['id']}/comparison")[1]
    assert [found[n] for n in ("same", "changed", "missing", "new")] == [6, 0, 0, 0]
    assert system.get("head")[1]["position"] == head  # nothing of it is in the log


@pytest.mark.slow
def test_a_mark_nobody_waits_for_is_refused(server: Evdebug) -> None:
    system = server.system(f"t-{uuid.uuid4().hex[:8]}")
    mark = "0" * 32 + ".1"
    plain = {"type": "t", "specversion": "1.0", "id": "1", "source": "/s"}
    for marked, headers, status in (
        (plain, {"evdebug-sandbox": mark}, 404),
        (plain | {"evdebugsandbox": mark}, {}, 404),
        (plain, {"evdebug-sandbox": "x"}, 400),
        ([plain | {"evdebugsandbox": mark}, plain | {"id": "2"}], {}, 400),
    ):
        kind = "cloudevents-batch" if isinstance(marked, list) else "cloudevents"
        more = {"Content-Type": f"application/{kind}+json",
                "Authorization": f"Bearer {system.ingest_key}", **headers}  # fmt: skip
        request = Request(f"{server.url}/v1/events", json.dumps(marked).encode(), more)
        with pytest.raises(OSError, match=str(status)):
            urlopen(request, timeout=30)
    lines = json.dumps(plain | {"evdebugsandbox": mark}).encode()
    more = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {system.ingest_key}"}
    with urlopen(Request(f"{server.url}/v1/events", lines, more), timeout=30) as answer:
        told = json.loads(answer.read())
    assert (told["stored"], told["rejected"], told["problems"][0]["code"]) == (0, 1, "marked")
    assert system.get("head")[1]["position"] == 0
