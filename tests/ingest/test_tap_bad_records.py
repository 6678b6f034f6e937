"""The whole table of hostile bodies through every bus: none stops a tap, each is placed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.ingest import hostile
from tests.ingest.many_buses import BUSES
from tests.ingest.test_tap_crash import PATIENCE_S, Tapped
from tests.ingest.test_tap_crash_buses import receiving, running
from tests.running import Evdebug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]

LARGEST = 200_000  # what any broker takes as it is set up
GOOD = b'{"type":"Good","id":"the-last"}'
BODIES = [c.body for c in (*hostile.EVENTS, *hostile.DELIVERIES) if len(c.body) <= LARGEST]


@pytest.mark.parametrize("name", list(BUSES))
def test_every_record_is_placed(
    name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    bus = BUSES[name](request.getfixturevalue(name))
    tapped = Tapped(new_server(start=False), bus.kind, bus.settings)
    with running(tapped) as process:
        receiving(tapped)
        bus.publish([*BODIES, GOOD])
        until = time.monotonic() + PATIENCE_S
        while tapped.counts()["received"] < len(BODIES) + 1:
            assert time.monotonic() < until, (tapped.counts(), tapped.sql(SAID))
            assert process.poll() is None
            time.sleep(0.1)
    row = tapped.counts()
    assert row["received"] == len(BODIES) + 1
    assert row["received"] == row["stored"] + row["duplicates"] + row["rejected"]
    assert row["stored"] > len(BODIES) // 4
    assert row["rejected"] > len(BODIES) // 20
    assert tapped.sql("SELECT count(*) FROM ingest_reject") == [(row["rejected"],)]
    assert (GOOD,) in tapped.sql("SELECT data FROM eventlog_event ORDER BY place DESC LIMIT 5")
    tapped.server.manage("verify", "crash")  # AssertionError where it finds something
    bus.close()


SAID = "SELECT state, said FROM ingest_tap"
