"""Several web processes and Redis: each sees the same; without Redis live goes on by polling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.brokers import Redis
from tests.conftest import Servers
from tests.live.following import frame, socket, until
from tests.running import Evdebug, System
from tests.services import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def team(new_server: Servers, redis_broker: Redis) -> Iterator[tuple[System, System]]:
    """Two web processes on one database: the same system at each."""
    first = new_server(REDIS_URL=redis_broker.url)
    second = Evdebug(first.folder, first.database_url, settings=first.settings)
    second.start()
    system = first.default
    yield system, System(second, system.slug, system.keys)
    second.kill()
    if redis_broker.process is None:
        redis_broker.start()  # others want it too


def page(system: System, **query: Any) -> dict[str, Any]:
    """Return the first frame of the page's socket that tells of Redis as it is."""
    with socket(system, f"/ws/{system.slug}/live", **query) as opened:
        return frame(opened)


def degraded(system: System) -> bool:
    return bool(page(system, after=0)["degraded"])


def test_it_works(team: tuple[System, System]) -> None:
    here, there = team
    with socket(there, after=0) as opened:
        for n in range(20):
            here.send({"type": "told", "data": n})
            (event,) = frame(opened)["events"]
            assert event["data"] == n
    rows = [json.dumps(page(system, after=0, tail="")["rows"]) for system in team]
    assert rows[0] == rows[1]


def test_redis_goes_and_comes_back(team: tuple[System, System], redis_broker: Redis) -> None:
    here, there = team
    with socket(there, after=0) as opened:
        here.send({"type": "before"})
        assert until(opened, 1)
        redis_broker.stop()
        wait_for(lambda: degraded(there) and degraded(here), "both to say that Redis is gone")
        here.send({"type": "without"})
        assert [e["type"] for e in until(opened, 2)] == ["without"]
        redis_broker.start()
        wait_for(lambda: not degraded(there) and not degraded(here), "both to heal")
        here.send({"type": "after"})
        assert [e["type"] for e in until(opened, 3)] == ["after"]
