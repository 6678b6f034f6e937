"""Two web processes and a Redis that goes and comes back: both pages say so, and show the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.brokers import Redis
from tests.browser.hearing import Hearing
from tests.browser.test_live import OUTAGE_MS, arrives, rows, send, stand
from tests.conftest import Servers
from tests.running import Evdebug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GONE = "Redis does not answer"


@pytest.fixture(scope="module")
def server(redis_broker: Redis) -> Iterator[Evdebug]:
    """The first of two; they share database and Redis."""
    servers = Servers()
    yield servers(REDIS_URL=redis_broker.url)
    servers.close()


@pytest.fixture
def other(server: Evdebug, redis_broker: Redis) -> Iterator[Evdebug]:
    second = Evdebug(server.folder, server.database_url, settings=server.settings)
    second.start()
    yield second
    second.kill()
    if redis_broker.process is None:
        redis_broker.start()  # others want it too


def test_it_works(page: Page, server: Evdebug, other: Evdebug, redis_broker: Redis) -> None:
    system = server.system("team")
    send(system, "First")
    pages = [page, page.context.new_page()]
    hearings = [Hearing(each) for each in pages]
    for each, hearing, base in zip(pages, hearings, ("", other.url), strict=True):
        stand(each, system, base=base)
        hearing.loaded()
    banners = [each.locator("#banner") for each in pages]
    last = send(system, *["Told"] * 5)
    for each in pages:
        arrives(each, last)

    redis_broker.stop()
    for banner in banners:
        expect(banner).to_contain_text(GONE, timeout=OUTAGE_MS)
    last = send(system, *["Polled"] * 5)
    for each in pages:
        arrives(each, last)

    redis_broker.start()
    for banner in banners:
        expect(banner).to_be_hidden(timeout=OUTAGE_MS)
    last = send(system, *["Healed"] * 5)
    for each in pages:
        arrives(each, last)
    fresh = rows(stand(page.context.new_page(), system))
    for each, hearing in zip(pages, hearings, strict=True):
        assert rows(each) == fresh
        assert hearing.newest() == [int(row.partition(" ")[0]) for row in fresh]
